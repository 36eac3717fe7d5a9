"""What finished runs on this box change in a device, and the sentences that say so.

Only a device of this box is changed: by corrections of its predictions (calibration.jsonl), and by a limit on its
memory if a run that was predicted to fit ran out of it (ran_out.json).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

from backend import units
from backend.answers import METHODS
from backend.measured import calibration, kernels, ran_out, records
from backend.measured.correction import Correction
from backend.planner import several
from backend.planner.device import Device
from backend.planner.rules import title

SHOWN = 0.03
"""Corrections by less than this share are not mentioned."""


def calibrated(device: Device) -> Device:
    """`device` with the corrections that finished runs on it call for; unchanged if there are none."""
    if not device.here:
        return device
    found, _ = records.read()
    corrections = calibration.of(device.kind, device.name, found, device.flops_per_second)
    fastest = kernels.fastest() if device.kind == "cuda" else ()
    return replace(device, calibration=corrections, kernels=fastest)


def bounded(device: Device) -> Device:
    """`device`, its free memory limited to what a run needed that ran out of it, with a note that says so."""
    limit = ran_out.limit(device.name) if device.here else None
    if limit is None or limit.predicted_bytes >= device.free_bytes:
        return device
    day = time.strftime("%Y-%m-%d", time.localtime(limit.t))
    note = (
        f"A run predicted to take {units.memory(limit.predicted_bytes)} ran out of memory here on {day}: plans stay "
        f"below that; delete {ran_out.file()} if another program was holding the memory."
    )
    return replace(several.bounded(device, limit.predicted_bytes), notes=(*device.notes, note))


def sentences(device: Device, parameters: int) -> Iterator[str]:
    """For each method, what is corrected for a model of `parameters`, and by how much."""
    for method in METHODS if device.calibration else ():
        own = device.correction(method, parameters)
        changes = [f"{name} ×{ratio:.2f}" for name, ratio in _named(own) if abs(ratio - 1) >= SHOWN]
        if abs(own.fixed_bytes) >= units.MIB:
            sign = "−" if own.fixed_bytes < 0 else "+"
            what = "interpreter" if device.kind == "cpu" else "CUDA context"
            changes.append(f"{what} {sign}{units.memory(abs(own.fixed_bytes))}")
        if changes:
            yield f"{title(method)} is corrected by {_runs(own)}: {', '.join(changes)}."


def _runs(own: Correction) -> str:
    """`3 runs on this box`, and how many of them corrected the speed if they are fewer.

    Speed is corrected only by runs of the same method during which nothing else kept the box busy.
    """
    count = max(own.runs, own.memory_runs)
    speed = f", its speed by {own.runs} of them" if own.runs else ", its speed not yet"
    return f"{units.counted(count, 'run')} on this box{'' if own.runs == count else speed}"


def _named(own: Correction) -> Iterator[tuple[str, float]]:
    yield from (("weights", own.resident), ("activations", own.transient), ("slack", own.slack))
    yield from (("loading", own.loading), ("speed", own.speed), ("start and saving", own.overhead))
