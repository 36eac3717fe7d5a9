"""The peak memory of a training run on one device, by formula: one function a component, each with its source.

Elements are counted from the shape and the plan; bytes an element come from the plan's types and presets/memory.toml.
The counts are compared with the trainer's own step under fake tensors (backend/dryrun, tests/bench/memory.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from backend.model.shape import ModelShape
from backend.plan.counts import sequences_per_row
from backend.plan.plan import Plan
from backend.planner.device import Device
from backend.planner.estimates import MemoryEstimate
from backend.planner.memory.activations import BatchShape
from backend.planner.memory.activations import kept as kept_activations
from backend.planner.memory.cache import unused
from backend.planner.memory.device import bucket, reserve, workspace
from backend.planner.memory.elements import FLOAT32, SIXTEEN_BIT, compute_bytes, trainable, trained_bytes
from backend.planner.memory.generation import forgetting, sampled, task, task_batch
from backend.planner.memory.sharded import is_sharded, peak_points
from backend.planner.memory.stack import FAKE, OWN, Stack, own
from backend.planner.memory.states import adapters, gradients, head_gradient, optimizer_states, weights

__all__ = [
    "FLOAT32",
    "OWN",
    "SIXTEEN_BIT",
    "BatchShape",
    "Stack",
    "adapters",
    "compute_bytes",
    "gradients",
    "head_gradient",
    "is_sharded",
    "kept_activations",
    "optimizer_states",
    "predict",
    "reserve",
    "step_peak",
    "task_batch",
    "trainable",
    "trained_bytes",
    "weights",
]

PHASES = {"lengths": "forward", "loss": "backward", "top": "backward", "bottom": "backward", "embedding": "backward"}
"""Peak points whose name is not that of their phase."""
PASSING = ("activations", "logits", "gradients", "copies")


def predict(
    shape: ModelShape,
    plan: Plan,
    device: Device,
    length: int,
    scored: int | None = None,
    stored_bytes: int = 0,
    stack: Stack | None = None,
) -> MemoryEstimate:
    """Peak bytes by category and by phase for micro-batches of `plan.micro_batch` sequences of `length` tokens.

    `scored`: target tokens of a sequence (those in the loss), by default all of them. `stored_bytes`: size of the
    weight files, which a CPU maps into its memory while loading. `stack`: None for the trainer on this device.
    """
    stack = stack or own(plan, device)
    sequences = plan.micro_batch * sequences_per_row(plan)
    batch = BatchShape(sequences, length, length if scored is None else scored)
    always = at_rest(shape, plan, device, stack)
    step = peak_points(shape, plan, batch, stack)
    phases: dict[str, dict[str, int]] = {
        "load": {"weights": always["weights"] + (stored_bytes if device.kind == "cpu" else 0)}
    }
    between = {"sample": sampled(shape, plan)}
    between |= {"task": task(shape, plan)} if plan.task else {}
    between |= {"forgetting": forgetting(shape, plan)} if plan.measure_forgetting else {}
    for name, parts in {**step, **between}.items():
        phase = PHASES.get(name, name)
        total = _added(always, parts)
        if sum(total.values()) > sum(phases.get(phase, {}).values()):
            phases[phase] = total
    phases["save"] = dict(always)
    left = 0 if device.kind == "cpu" else unused(shape, plan, batch, step, stack)
    return _memory(phases, device, left)


def step_peak(shape: ModelShape, plan: Plan, length: int, scored: int) -> dict[str, int]:
    """Peak point of one step (backend/planner/memory/step.py) -> allocated bytes, on one device that holds everything.

    This is what the dry run measures: no context, no slack, no workspace of libraries, no evaluation.
    """
    alone = replace(plan, processes=1)
    rest = weights(shape, alone) + adapters(shape, alone) + optimizer_states(shape, alone)
    batch = BatchShape(plan.micro_batch * sequences_per_row(plan), length, scored)
    return {
        name: rest + sum(parts.values())
        for name, parts in peak_points(shape, alone, batch, FAKE).items()
        if name != "eval"
    }


def at_rest(shape: ModelShape, plan: Plan, device: Device, stack: Stack = OWN) -> dict[str, int]:
    """Resident memory: what the device holds all the time after the first step, by category.

    Over several devices a full model is sharded; adapters are replicated, and their gradients are reduced bucket by
    bucket.
    """
    shards = plan.processes if is_sharded(plan) else 1
    shared = bucket(trainable(shape, plan)) if plan.processes > 1 and plan.method != "full" else 0
    return {
        "weights": weights(shape, plan) // shards,
        "adapters": adapters(shape, plan),
        "optimizer": optimizer_states(shape, plan, stack) // shards,
        "workspace": workspace(device) + shared,
    }


def _added(always: Mapping[str, int], parts: Mapping[str, int]) -> dict[str, int]:
    return {name: always.get(name, 0) + parts.get(name, 0) for name in {**always, **parts}}


def _memory(phases: Mapping[str, Mapping[str, int]], device: Device, left: int) -> MemoryEstimate:
    totals = {name: sum(parts.values()) for name, parts in phases.items()}
    peak_phase = max(totals, key=lambda name: totals[name])
    parts = dict(phases[peak_phase])
    parts["reserve"] = reserve(device, sum(parts.get(name, 0) for name in PASSING), left)
    parts["weights"] += parts.pop("copies", 0)
    allocated = totals[peak_phase]
    return MemoryEstimate(
        peak_bytes=allocated + parts["reserve"],
        peak_allocated_bytes=allocated,
        peak_phase=peak_phase,
        by_category={name: size for name, size in parts.items() if size},
        by_phase=totals,
    )
