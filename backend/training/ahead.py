"""The next step's batches, made by a thread while the device works on this one's."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

Made = TypeVar("Made")


class Ahead(Generic[Made]):
    """What `make` makes of a step's number, ready before it is asked for."""

    def __init__(self, make: Callable[[int], Made], total: int) -> None:
        """`total` steps in all: nothing is made beyond."""
        self._make = make
        self._total = total
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches")
        self._waiting: tuple[int, Future[Made]] | None = None

    def take(self, step: int) -> Made:
        """What belongs to `step`; the one after it begins to be made. Raises what `make` raised."""
        if self._waiting and self._waiting[0] == step:
            made = self._waiting[1].result()
        else:
            self.forget()
            made = self._make(step)
        if step + 1 < self._total:
            self._waiting = step + 1, self._thread.submit(self._make, step + 1)
        else:
            self._waiting = None
        return made

    def forget(self) -> None:
        """What waits is no longer wanted: settings have changed, or the same step is asked for again."""
        if self._waiting:
            self._waiting[1].exception()  # it is waited for: one thread at a time makes batches
        self._waiting = None
