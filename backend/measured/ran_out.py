"""Runs on this box that ran out of memory although they were predicted to fit: later plans stay below their peak.

`$FTTUI_HOME/ran_out.json` holds, for each device, the lowest peak that was predicted for a run that then ran out of
memory. An entry counts for some weeks only, because another program may have been holding the memory.
"""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from backend import atomic, constants, paths, typed
from backend.plan.job import Job

FILE = "ran_out.json"
DAY_SECONDS = 24 * 3600.0


class Ceiling(msgspec.Struct, frozen=True, rename={"predicted_bytes": "foreseen_bytes"}):
    """The limit on one device's memory, from a run that ran out of it."""

    predicted_bytes: int
    """The peak that had been predicted for the run."""
    t: float
    """Unix seconds."""


def file() -> Path:
    """The file that remembers it."""
    return paths.home() / FILE


def remember(job: Job) -> None:
    """Note that `job`, run as it was planned, ran out of memory. Raises OSError (disk full)."""
    if job.predicted is None:
        return
    now, known = time.time(), _read()
    before = known.get(job.device_name)
    peak = job.predicted.peak_bytes
    if before is not None and not _is_old(before, now):
        peak = min(peak, before.predicted_bytes)
    atomic.write(file(), msgspec.json.encode({**known, job.device_name: Ceiling(peak, round(now, 3))}))


def limit(device_name: str) -> Ceiling | None:
    """The limit from recent runs that ran out on a device of this box; None if there are none."""
    found = _read().get(device_name)
    return None if found is None or _is_old(found, time.time()) else found


def _is_old(found: Ceiling, now: float) -> bool:
    return now - found.t > constants.calibration().ran_out_days * DAY_SECONDS


def _read() -> dict[str, Ceiling]:
    try:
        return typed.read_json(file(), dict[str, Ceiling])
    except typed.Damaged:
        return {}
