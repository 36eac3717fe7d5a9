"""This box's finished runs, as corrections: for each component what a run measured over what the formulas had said."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from importlib import metadata

from backend import constants, units
from backend.answers import METHODS
from backend.measured import records
from backend.measured.correction import Calibration, Correction, Run
from backend.measured.records import Record
from backend.planner.device import Device
from backend.planner.rules import title

COMPARED = ("fttui", "torch", "transformers")
"""Packages whose version (major.minor) changes what a run takes, or what is predicted."""
SHOWN = 0.03
"""A ratio nearer to 1 than this is not worth a word."""


def calibrated(device: Device) -> Device:
    """`device` with what finished runs on this box say of it; itself where there are none, or where it is not here."""
    if not device.here:
        return device
    found, _ = records.read()
    return replace(device, calibration=of(device, found))


def of(device: Device, found: Sequence[Record], versions: Mapping[str, str] | None = None) -> Calibration | None:
    """The newest of the records that are of `device`; None where there are none.

    `versions` are those of the packages now: the installed ones where they are left out.
    """
    own = [record for record in found if (record.kind, record.device) == (device.kind, device.name)]
    if not own:
        return None
    now = _installed() if versions is None else versions
    newest = own[-int(constants.calibration()["newest"]) :]
    return Calibration(tuple(run(record, now, device.flops_per_second) for record in newest))


def sentences(device: Device, parameters: int) -> Iterator[str]:
    """What is corrected for a model of this size, and by how much: a sentence a method."""
    for method in METHODS if device.calibration else ():
        own = device.correction(method, parameters)
        changes = [f"{name} ×{ratio:.2f}" for name, ratio in _named(own) if abs(ratio - 1) >= SHOWN]
        if abs(own.fixed_bytes) >= units.MIB:
            sign = "−" if own.fixed_bytes < 0 else "+"
            what = "interpreter" if device.kind == "cpu" else "CUDA context"
            changes.append(f"{what} {sign}{units.memory(abs(own.fixed_bytes))}")
        if changes:
            yield f"{title(method)} is corrected by {_runs(title(method), own)} on this box: {', '.join(changes)}."


def _runs(name: str, own: Correction) -> str:
    count = max(own.runs, own.memory_runs)
    some = "" if own.runs == count else f", {own.runs or 'none'} of them {name},"
    return f"1 run{some}" if count == 1 else f"{count} runs{some}"


def run(record: Record, now: Mapping[str, str], flops_per_second: float = 0.0) -> Run:
    """The components of one run.

    `flops_per_second` is what the device is taken to do now; a CPU's rate is measured, and a busy moment makes it low.
    """
    predicted = record.predicted
    told = predicted.device_flops_per_second
    faster = flops_per_second / told if record.kind == "cpu" and told and flops_per_second else 1.0
    spent = sum(record.phases[name].seconds for name in ("data", "load", "checkpoint", "save") if name in record.phases)
    known = Run(
        method=record.method,
        parameters=predicted.parameters,
        old=any(_minor(record.versions.get(name, "")) != _minor(now.get(name, "")) for name in COMPARED),
        speed=_ratio(record.tokens_per_second, predicted.tokens_per_second * faster),
        flops_per_second=_product(record.tokens_per_second, predicted.flops_per_token),
        overhead=_ratio(spent, predicted.overhead_seconds),
        predicted_fixed_bytes=predicted.memory.fixed_bytes,
    )
    return _on_cpu(known, record) if record.kind == "cpu" else _on_gpu(known, record)


def _on_cpu(known: Run, record: Record) -> Run:
    """A process is one: what in it is no tensor shows in the rest after loading."""
    raw, load = record.predicted.memory, record.phases.get("load")
    steps = _steps_peak(record, "peak_bytes")
    if load is None or not steps:
        return known
    fixed = max(0, load.rest_bytes - raw.rest_bytes)
    return replace(
        known,
        transient=_ratio(steps - load.rest_bytes - raw.states_bytes, raw.transient_bytes + raw.slack_bytes),
        loading=_ratio(load.peak_bytes - fixed, raw.load_bytes),
        fixed_bytes=fixed - raw.fixed_bytes,
    )


def _on_gpu(known: Run, record: Record) -> Run:
    raw, load, train = record.predicted.memory, record.phases.get("load"), record.phases.get("train")
    if load is None or train is None:
        return known
    peak, reserved = _steps_peak(record, "peak_bytes"), _steps_peak(record, "reserved_bytes")
    transient, context = _ratio(peak - train.rest_bytes, raw.transient_bytes), record.context_bytes
    return replace(
        known,
        resident=_ratio(train.rest_bytes, raw.rest_bytes + raw.states_bytes),
        transient=transient,
        slack=_ratio(reserved - peak, raw.slack_bytes * (transient or 1.0)),
        loading=_ratio(load.peak_bytes, raw.load_bytes),
        fixed_bytes=context - raw.fixed_bytes if context is not None else None,
    )


def _steps_peak(record: Record, field: str) -> int:
    """The peak after loading."""
    later = (phase for name, phase in record.phases.items() if name not in ("data", "load"))
    return max((int(getattr(phase, field)) for phase in later), default=0)


def _ratio(measured: float | None, predicted: float) -> float | None:
    """None where one of them is no positive finite number."""
    if measured is None or not all(math.isfinite(x) and x > 0 for x in (measured, predicted)):
        return None
    return measured / predicted


def _product(rate: float | None, each: float) -> float | None:
    """None where the product is no positive finite number."""
    found = (rate or 0.0) * each
    return found if 0 < found < math.inf else None


def _named(own: Correction) -> Iterator[tuple[str, float]]:
    yield from (("weights", own.resident), ("activations", own.transient), ("slack", own.slack))
    yield from (("loading", own.loading), ("speed", own.speed), ("start and saving", own.overhead))


def _minor(version: str) -> str:
    """`2.13` of `2.13.0+cpu`."""
    return ".".join(version.split("+")[0].split(".")[:2])


def _installed() -> dict[str, str]:
    found = {}
    for name in COMPARED:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
