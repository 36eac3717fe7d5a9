"""Whether other programs took cores away from this process, as Linux counts it for each of its threads."""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

THREADS = Path("/proc/self/task")
WAITED = 0.15
"""The box counts as busy if threads wait for a core for more than this share of the time in which they could run."""
GOT = 0.9
"""A process that got more than this share of its cores counts as undisturbed: under a quota threads wait too."""
NANOSECONDS = 1e9


class Times(NamedTuple):
    """Seconds of wall-clock time, of threads running on a core, and of threads waiting for one."""

    clock: float
    ran: float
    waited: float


def now() -> Times:
    """The times so far, of all threads that this process has; no time on a core if the kernel does not count it."""
    ran, waited = 0, 0
    for file in THREADS.glob("*/schedstat"):
        try:
            numbers = [int(x) for x in file.read_text().split()]
        except (OSError, ValueError):  # the thread has ended
            continue
        if len(numbers) >= 2:
            ran, waited = ran + numbers[0], waited + numbers[1]
    return Times(time.perf_counter(), ran / NANOSECONDS, waited / NANOSECONDS)


def is_busy(before: Times, after: Times, usable_cores: float) -> bool:
    """Whether this process had to share its cores in between; False if the kernel does not count it."""
    clock, ran, waited = (later - earlier for earlier, later in zip(before, after, strict=True))
    return waited > WAITED * (ran + waited) and ran < GOT * usable_cores * clock
