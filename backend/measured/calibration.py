"""This box's finished runs as ratios: for each component, what a run measured over what the formulas predicted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import metadata

from backend import constants
from backend.measured.correction import Calibration, Run
from backend.measured.records import Record

COMPARED = ("fttui", "torch", "transformers")
"""Packages whose version (major.minor) changes what a run takes, or what is predicted."""


def of(
    kind: str,
    name: str,
    found: Sequence[Record],
    flops_per_second: float = 0.0,
    versions: Mapping[str, str] | None = None,
) -> Calibration | None:
    """The newest records of the device called `name`; None if there are none.

    Args:
        kind: `cuda` or `cpu`.
        name: The device's name, as in the records.
        found: Records, the oldest first.
        flops_per_second: The rate that plans assume for the device now; 0 if it is not known.
        versions: Versions of the packages now; by default the installed ones.
    """
    own = [record for record in found if (record.kind, record.device) == (kind, name)]
    if not own:
        return None
    now = _installed() if versions is None else versions
    newest = own[-constants.calibration().newest :]
    return Calibration(tuple(run(record, now, flops_per_second) for record in newest))


def run(record: Record, now: Mapping[str, str], flops_per_second: float = 0.0) -> Run:
    """The ratios of one run, component by component.

    `flops_per_second` is the rate assumed for the device now. A CPU's rate is measured each time, and comes out too low
    on a busy box: the run's predicted speed is rescaled to today's rate.
    """
    predicted = record.predicted
    then = predicted.device_flops_per_second
    faster = flops_per_second / then if record.kind == "cpu" and then and flops_per_second else 1.0
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
    """Ratios of a run on a CPU, whose resident memory includes the interpreter: it shows in the rest after loading."""
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
    later = (phase for name, phase in record.phases.items() if name not in ("data", "load", "kernels"))
    return max((int(getattr(phase, field)) for phase in later), default=0)


def _ratio(measured: float | None, predicted: float) -> float | None:
    """None unless both are positive, and their ratio is a positive finite number."""
    if measured is None or measured <= 0 or predicted <= 0:
        return None
    ratio = measured / predicted
    return ratio if 0 < ratio < math.inf else None


def _product(rate: float | None, each: float) -> float | None:
    """None unless the product is a positive finite number."""
    found = (rate or 0.0) * each
    return found if 0 < found < math.inf else None


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
