"""How far a long part of an export is, said now and then."""

from __future__ import annotations

import time
from collections.abc import Callable

SECONDS = 2.0
"""At most one line in this time, and none for what takes less."""


def paced(say: Callable[[str], None], text: str) -> Callable[[int, int], None]:
    """Takes how many of how many are done, as often as one likes, and says `text` with them at times."""
    said_at = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal said_at
        if time.monotonic() - said_at >= SECONDS:
            said_at = time.monotonic()
            say(text.format(done=done, total=total))

    return tell
