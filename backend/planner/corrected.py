"""A memory prediction by components, and its correction by this box's finished runs, which is applied only here."""

from __future__ import annotations

from dataclasses import replace

from backend.measured.correction import Correction
from backend.model.shape import ModelShape
from backend.plan.job import PeakParts
from backend.plan.plan import Plan
from backend.planner import memory
from backend.planner.device import Device
from backend.planner.estimates import MemoryEstimate

RESIDENT = ("weights", "adapters", "optimizer")
"""Categories that are allocated all the time."""
LOAD = "load"
STEP_PHASES = ("forward", "backward", "optimizer")


def parts(predicted: MemoryEstimate, shape: ModelShape, plan: Plan, device: Device) -> PeakParts:
    """The components of an uncorrected prediction at the peak of the steps, whatever phase the run's peak is in."""
    rest, states = memory.weights(shape, plan) + memory.adapters(shape, plan), memory.optimizer_states(shape, plan)
    highest = max(size for name, size in predicted.by_phase.items() if name != LOAD)
    transient = max(0, highest - rest - states)
    fixed = memory.reserve(device, 0)
    with_slack = memory.reserve(device, transient)
    if predicted.peak_phase != LOAD:
        with_slack = predicted.peak_bytes - predicted.peak_allocated_bytes
    return PeakParts(rest, states, transient, max(0, with_slack - fixed), fixed, predicted.by_phase.get(LOAD, 0))


def corrected(predicted: MemoryEstimate, shape: ModelShape, plan: Plan, device: Device) -> MemoryEstimate:
    """`predicted`, corrected by the finished runs of this box component by component; unchanged if there are none."""
    own = device.correction(plan.method, shape.parameters)
    if not own.memory_runs or plan.processes > 1:
        return predicted
    raw = parts(predicted, shape, plan, device)
    by_phase = {name: round(_phase(name, size, raw, own)) for name, size in predicted.by_phase.items()}
    slack, fixed = round(raw.slack_bytes * own.transient * own.slack), max(0, raw.fixed_bytes + own.fixed_bytes)
    whole = {name: size + (slack if name != LOAD else 0) for name, size in by_phase.items()}
    phase = max(whole, key=lambda name: whole[name])
    allocated, reserve = by_phase[phase], whole[phase] - by_phase[phase] + fixed
    kept = _categories(predicted, phase, raw, own, allocated)
    return MemoryEstimate(
        peak_bytes=allocated + reserve,
        peak_allocated_bytes=allocated,
        peak_phase=phase,
        by_category={name: size for name, size in (kept | {"reserve": reserve}).items() if size},
        by_phase=by_phase,
    )


def phase_peaks(predicted: MemoryEstimate, shape: ModelShape, plan: Plan, device: Device) -> dict[str, int]:
    """Peaks of the trainer's own phases (load, train, eval ...), as it measures them.

    On a GPU these are allocated bytes; on a CPU the memory of the whole process, with interpreter and slack.
    """
    peaks = {name: size for name, size in predicted.by_phase.items() if name not in STEP_PHASES}
    peaks["train"] = max(size for name, size in predicted.by_phase.items() if name in STEP_PHASES)
    if device.kind != "cpu":
        return peaks
    raw = parts(predicted, shape, plan, replace(device, calibration=None))
    fixed = max(0, raw.fixed_bytes + device.correction(plan.method, shape.parameters).fixed_bytes)
    slack = max(0, predicted.peak_bytes - predicted.peak_allocated_bytes - fixed) if predicted.peak_phase != LOAD else 0
    resident = raw.rest_bytes + raw.states_bytes
    share = slack / max(1, peaks["train"] - resident)
    return {
        name: size + fixed + (round(share * max(0, size - resident)) if name != LOAD else 0)
        for name, size in peaks.items()
    }


def _phase(name: str, size: int, raw: PeakParts, own: Correction) -> float:
    """Allocated bytes of a phase: the corrected resident and transient parts."""
    if name == LOAD:
        return size * own.loading
    resident = min(size, raw.rest_bytes + raw.states_bytes)
    return resident * own.resident + (size - resident) * own.transient


def _categories(
    predicted: MemoryEstimate, phase: str, raw: PeakParts, own: Correction, allocated: int
) -> dict[str, int]:
    """Bytes by category at the corrected peak, without the reserve; they sum to `allocated`."""
    if phase == LOAD:
        return {"weights": allocated}
    if predicted.peak_phase == LOAD:  # its categories say nothing about a step
        weights, states = round(raw.rest_bytes * own.resident), round(raw.states_bytes * own.resident)
        return {"weights": weights, "optimizer": states, "activations": allocated - weights - states}
    there = {name: size for name, size in predicted.by_category.items() if name != "reserve"}
    copies = max(0, sum(there.get(name, 0) for name in RESIDENT) - raw.rest_bytes - raw.states_bytes)
    found = {name: round(size * (own.resident if name in RESIDENT else own.transient)) for name, size in there.items()}
    found["weights"] = round((there["weights"] - copies) * own.resident + copies * own.transient)
    largest = max(found, key=lambda name: found[name])
    found[largest] += allocated - sum(found.values())  # rounding, and a peak that moved to another phase
    return found
