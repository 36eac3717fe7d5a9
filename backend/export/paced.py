"""Progress of a long part of an export, reported now and then."""

from __future__ import annotations

import time
from collections.abc import Callable

SECONDS = 2.0
"""At most one line in this time, and none for what takes less."""


def paced(say: Callable[[str], None], text: str) -> Callable[[int, int], None]:
    """A function of (done, total) that may be called at any rate, and says `text` with the two now and then."""
    said_at = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal said_at
        if time.monotonic() - said_at >= SECONDS:
            said_at = time.monotonic()
            say(text.format(done=done, total=total))

    return tell
