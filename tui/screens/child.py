"""Ends a process that a screen has started, together with the screen that shows its output."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from textual.screen import Screen


async def end_with(screen: Screen[Any], process: asyncio.subprocess.Process | None) -> None:
    """Stop reading, end `process` if it still runs, and wait until it is gone. For `on_unmount`."""
    screen.workers.cancel_node(screen)
    if process is not None and process.returncode is None:
        with contextlib.suppress(ProcessLookupError):  # it ended just now
            process.kill()
        await process.wait()
