"""What ran out of memory on this box although it was predicted to fit: later plans stay below it.

`$FTTUI_HOME/ran_out.json` holds, for each device, the lowest peak that was predicted for a run whose memory then ran
out. It counts for some weeks: another program may have held the memory.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import msgspec

from backend import atomic, constants, paths, typed, units
from backend.plan.job import Job
from backend.planner import several
from backend.planner.device import Device

FILE = "ran_out.json"
DAY_SECONDS = 24 * 3600.0


class Ceiling(msgspec.Struct, frozen=True, rename={"predicted_bytes": "foreseen_bytes"}):
    """One device's."""

    predicted_bytes: int
    """The peak that had been predicted."""
    t: float
    """Unix seconds."""


def file() -> Path:
    """Where it is remembered."""
    return paths.home() / FILE


def remember(job: Job) -> None:
    """Memory ran out in a run as it was planned. Raises OSError (disk full)."""
    if job.predicted is None:
        return
    now, known = time.time(), _read()
    before = known.get(job.device_name)
    peak = job.predicted.peak_bytes
    if before is not None and not _is_old(before, now):
        peak = min(peak, before.predicted_bytes)
    atomic.write(file(), msgspec.json.encode({**known, job.device_name: Ceiling(peak, round(now, 3))}))


def bounded(device: Device) -> Device:
    """`device` with no more memory than what ran out on it, and a note that says so; itself where nothing did."""
    found = _read().get(device.name) if device.here else None
    if found is None or _is_old(found, time.time()) or found.predicted_bytes >= device.free_bytes:
        return device
    day = time.strftime("%Y-%m-%d", time.localtime(found.t))
    note = (
        f"A run predicted to take {units.memory(found.predicted_bytes)} ran out of memory here on {day}: plans stay "
        f"below that; delete {file()} if something else had held the memory."
    )
    return replace(several.bounded(device, found.predicted_bytes), notes=(*device.notes, note))


def _is_old(found: Ceiling, now: float) -> bool:
    return bool(now - found.t > constants.calibration()["ran_out_days"] * DAY_SECONDS)


def _read() -> dict[str, Ceiling]:
    try:
        return typed.from_json(file().read_bytes(), dict[str, Ceiling])
    except (OSError, msgspec.DecodeError):
        return {}
