"""Prefetching: a thread makes the next step's batches while the device works on this step's."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

Made = TypeVar("Made")


class Ahead(Generic[Made]):
    """The results of `make(step)`, each made before it is asked for."""

    def __init__(self, make: Callable[[int], Made], total: int) -> None:
        """Nothing is made for steps from `total` on."""
        self._make = make
        self._total = total
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches")
        self._waiting: tuple[int, Future[Made]] | None = None

    def take(self, step: int) -> Made:
        """The result for `step`; the thread starts on the next one. Raises what `make` raised."""
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
        """Drop what was made ahead: settings have changed, or the same step is asked for again."""
        if self._waiting:
            self._waiting[1].exception()  # wait for it: only one thread at a time makes batches
        self._waiting = None
