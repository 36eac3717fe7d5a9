"""What each phase of a run takes: peak memory, memory at its end, seconds."""

from __future__ import annotations

import time
from typing import Protocol

from backend.run.events import PhasePeak
from backend.training.meters.memory_source import Lap


class MemoryReader(Protocol):
    """Memory readings by intervals."""

    def lap(self) -> Lap:
        """The interval since the last call."""


class Phases:
    """The trainer reports when a phase begins, which takes a few microseconds; nothing is done within a step."""

    def __init__(self, source: MemoryReader) -> None:
        self._source = source
        self._name: str | None = None
        self._since = time.perf_counter()
        self.found: dict[str, PhasePeak] = {}

    def begin(self, name: str) -> None:
        """A phase begins, and the one before ends."""
        if name == self._name:
            return
        self.end()
        self._name = name

    def end(self) -> None:
        """The current phase ends; the time until the next one begins belongs to none."""
        lap, now = self._source.lap(), time.perf_counter()
        if self._name is not None:
            self._add(self._name, lap, now - self._since)
        self._name, self._since = None, now

    def _add(self, name: str, lap: Lap, seconds: float) -> None:
        phase = self.found.setdefault(name, PhasePeak(rest_bytes=lap.rest_bytes))
        phase.peak_bytes = max(phase.peak_bytes, lap.peak_bytes)
        phase.reserved_bytes = max(phase.reserved_bytes, lap.reserved_bytes)
        phase.seconds += seconds
        phase.times += 1
