"""Where memory readings come from: torch's allocator on a GPU, the process's resident memory on a CPU.

`read` may be called from any thread; `lap` ends one interval and begins the next. Neither waits for the device.
"""

from __future__ import annotations

import re
import resource
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import psutil
import torch

from backend.run.events import MemoryReading


@dataclass(frozen=True)
class Lap:
    """Bytes of one interval of time."""

    peak_bytes: int
    """Allocated by torch, or resident (RSS)."""
    reserved_bytes: int
    """The peak of what the allocator has reserved; the same as `peak_bytes` for RSS."""
    rest_bytes: int
    """Bytes in use at the end."""


class CudaMemory:
    """Torch's own allocator on the current device."""

    KIND: ClassVar[str] = "cuda"

    def __init__(self) -> None:
        torch.cuda.reset_peak_memory_stats()
        self._device_bytes = torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory
        self._lock = threading.Lock()
        self._highest = self._highest_reserved = 0

    def read(self, phase: str = "") -> MemoryReading:
        """A `memory` event, read in `phase`."""
        with self._lock:
            self._look()
            return MemoryReading(
                kind=self.KIND,
                allocated_bytes=torch.cuda.memory_allocated(),
                reserved_bytes=torch.cuda.memory_reserved(),
                peak_bytes=self._highest,
                peak_reserved_bytes=self._highest_reserved,
                device_bytes=self._device_bytes,
                phase=phase,
            )

    def lap(self) -> Lap:
        """The interval since the last call; the allocator's peaks are reset, the run's are kept here."""
        with self._lock:
            peak, reserved = self._look()
            torch.cuda.reset_peak_memory_stats()
            return Lap(peak, reserved, torch.cuda.memory_allocated())

    def _look(self) -> tuple[int, int]:
        peak, reserved = torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()
        self._highest, self._highest_reserved = max(self._highest, peak), max(self._highest_reserved, reserved)
        return peak, reserved


class ProcessMemory:
    """The process's resident memory. Its peak is the kernel's, which Linux lets a process reset (proc(5), clear_refs).

    If that is refused, an interval's peak is the kernel's if that rose in it, else the highest of the readings.
    """

    KIND: ClassVar[str] = "rss"

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._device_bytes = psutil.virtual_memory().total
        self._lock = threading.Lock()
        self._seen = 0
        """The highest reading of this interval."""
        self._resets = _reset_high_water()
        self._floor = 0 if self._resets else _lifetime_peak_bytes()
        """The kernel's peak at the start of this interval, if it can't be reset."""
        self._highest = self._floor

    def read(self, phase: str = "") -> MemoryReading:
        """A `memory` event, read in `phase`."""
        with self._lock:
            now = self._look()
            return MemoryReading(
                kind=self.KIND,
                allocated_bytes=now,
                reserved_bytes=now,
                peak_bytes=self._highest,
                device_bytes=self._device_bytes,
                phase=phase,
            )

    def lap(self) -> Lap:
        """The interval since the last call."""
        with self._lock:
            now = self._look()
            high = _high_water_bytes()
            peak = max(high, self._seen) if high > self._floor else self._seen
            self._seen = now
            self._floor = 0 if self._resets and _reset_high_water() else high
            return Lap(peak, peak, now)

    def _look(self) -> int:
        now: int = self._process.memory_info().rss
        self._seen = max(self._seen, now)
        self._highest = max(self._highest, now, _high_water_bytes())
        return now


def _reset_high_water() -> bool:
    try:
        Path("/proc/self/clear_refs").write_text("5")  # proc(5): resets VmHWM
    except OSError:
        return False
    return True


def _high_water_bytes() -> int:
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0


def _lifetime_peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
