"""The dry run of the planned job, over the compare screen: `fttui plan --dry-run` in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from tui.plain import safe

CARRIED = (0, 3)
"""Exit codes of a plan that was made; 3 is one that carries nothing, whose memory can be checked all the same."""


class DryRunScreen(ModalScreen[None]):
    """The command's table; Esc closes it, and ends the process where it still runs."""

    DEFAULT_CSS = """
    DryRunScreen { align: center middle; }
    DryRunScreen #dry-run {
        width: 78; max-width: 100%; height: auto; max-height: 100%; padding: 0 1; background: $surface;
        border: round $border; border-title-style: bold; border-title-color: $primary; border-subtitle-color: $faint;
    }
    """
    AUTO_FOCUS: ClassVar[str | None] = None
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,d,enter", "dismiss", "close")]

    def __init__(self, command: Sequence[str]) -> None:
        super().__init__()
        self._command = command
        self._process: asyncio.subprocess.Process | None = None

    def compose(self) -> ComposeResult:
        """What it does, until its table is there."""
        with Vertical(id="dry-run") as box:
            box.border_title = Content("The real step, without values")
            box.border_subtitle = Content("Esc closes")
            yield Static("Running each method's step under fake tensors: some seconds …", id="found", markup=False)

    def on_mount(self) -> None:
        """Start it."""
        self.run_worker(self._run(), exclusive=True)

    def on_unmount(self) -> None:
        """Nobody waits for it any more."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):  # it ended this very moment
                self._process.kill()

    async def _run(self) -> None:
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(
            *self._command, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe
        )
        printed, complaint = await self._process.communicate()
        carried = self._process.returncode in CARRIED and printed
        text = (printed if carried else complaint).decode(errors="replace").strip()
        self.query_one("#found", Static).update(safe(text))
