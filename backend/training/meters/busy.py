"""How long a device computes in a step before it waits for the others: which of several is the slowest."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch


class Busy:
    """Adds up stretches of computing. On a GPU the stream is marked, and nothing waits for it."""

    def __init__(self, device: str) -> None:
        self._on_gpu = device != "cpu"
        self._seconds = 0.0
        self._marks: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []

    @contextmanager
    def stretch(self) -> Iterator[None]:
        """One stretch; one that ends in an error is left out."""
        began, mark = time.perf_counter(), self._mark()
        yield
        if mark is not None and (end := self._mark()) is not None:
            self._marks.append((mark, end))
        else:
            self._seconds += time.perf_counter() - began

    @property
    def is_used(self) -> bool:
        """There was a stretch since the last reading."""
        return bool(self._seconds or self._marks)

    def take(self) -> float:
        """Seconds since the last call. On a GPU it must have been waited for: the marks are read."""
        seconds = self._seconds + sum(float(begin.elapsed_time(end)) for begin, end in self._marks) / 1000
        self._seconds, self._marks = 0.0, []
        return seconds

    def _mark(self) -> torch.cuda.Event | None:
        if not self._on_gpu:
            return None
        mark: torch.cuda.Event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        mark.record()
        return mark
