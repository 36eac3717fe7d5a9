"""Execution settings: the fastest micro-batch, checkpointing, loss and optimizer whose peak fits the device."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from backend import constants
from backend.data.report import DataReport
from backend.model.info import ModelInfo
from backend.model.shape import HEAD, ModelShape
from backend.plan.plan import EXECUTION, Plan
from backend.planner import memory, throughput
from backend.planner.corrected import corrected
from backend.planner.device import Device
from backend.planner.estimates import Fit, MemoryEstimate
from backend.planner.rules import Pinned

MICRO_BATCHES = (64, 32, 16, 8, 4, 2, 1)
CHOSEN = "the fastest that fits"
"""The origin of what is chosen here."""


@dataclass(frozen=True)
class FittedPlan:
    """A plan with its execution settings, and its memory."""

    plan: Plan
    memory: MemoryEstimate
    load: throughput.Work
    least_bytes: int = 0
    """Peak of the leanest candidate."""


def choose(plan: Plan, model: ModelInfo, device: Device, data: DataReport, pinned: Pinned) -> FittedPlan:
    """The fastest candidate that fits without being tight; else the leanest of all.

    Settings that cost more than time are a last resort: they are tried only if nothing else fits.
    """
    load = throughput.work(plan, data)
    tried: list[FittedPlan] = []
    for resort in _resorts(plan, device, pinned):
        some = [
            choice
            for growing in _candidates(resort, device, load, pinned)
            for choice in _while_it_fits(growing, model, device, load)
        ]
        tried += some
        if fitting := [x for x in some if verdict(x.memory, device) == "fits"]:
            best = _fastest(fitting, model, device)
            break
    leanest = min(tried, key=lambda x: x.memory.peak_bytes)
    return replace(best if fitting else leanest, least_bytes=leanest.memory.peak_bytes)


def _while_it_fits(
    growing: Iterator[Plan], model: ModelInfo, device: Device, load: throughput.Work
) -> Iterator[FittedPlan]:
    """Plans up to and including the first that does not fit: memory grows with the micro-batch."""
    for plan in growing:
        choice = FittedPlan(plan, predict(model, plan, device, load), load)
        yield choice
        if verdict(choice.memory, device) != "fits":
            return


def _resorts(plan: Plan, device: Device, pinned: Pinned) -> Iterator[Plan]:
    """The plan as it is; then with activations in host memory; then with full's weights in 16 bits; then both."""
    offloads = device.kind == "cuda" and "activation_offload" not in pinned.values
    offloads = offloads and pinned.values.get("checkpointing", True)
    narrows = plan.method == "full" and plan.precision == "bfloat16" and "weights_dtype" not in pinned.values
    for narrow in (False, True) if narrows else (False,):
        base = replace(plan, weights_dtype="bfloat16") if narrow else plan
        yield base
        if offloads:
            yield replace(base, activation_offload=True)


def predict(model: ModelInfo, plan: Plan, device: Device, load: throughput.Work) -> MemoryEstimate:
    """The memory that `plan` takes, corrected by what finished runs on this box took."""
    done = replace(
        plan,
        activation_offload=plan.activation_offload and device.kind == "cuda",
        chunked_loss=plan.chunked_loss and not adapts_head(plan),
    )
    predicted = _predicted(model.shape, done, _for_memory(device), load.length, load.scored, model.weight_bytes)
    return corrected(predicted, model.shape, plan, device)


def adapts_head(plan: Plan) -> bool:
    """Whether the head carries an adapter: its logits are held whole then (training/loss.py)."""
    return plan.method != "full" and HEAD in [name.strip() for name in plan.target_modules.split(",")]


@functools.lru_cache(maxsize=8192)
def _predicted(
    shape: ModelShape, plan: Plan, kind: Device, length: int, scored: int, stored_bytes: int
) -> MemoryEstimate:
    """Cached: a list of many GPUs, and every key on the compare screen, ask for the same predictions again."""
    return memory.predict(shape, plan, kind, length, scored, stored_bytes)


GENERATIONS = ((9, 0), (8, 0), (0, 0))
"""Compute capabilities since which the memory differs: workspaces, and kernels for grouped keys."""


def _for_memory(device: Device) -> Device:
    """The device reduced to what memory depends on: its kind, generation and allocator."""
    capability = device.compute_capability
    since = capability and next(x for x in GENERATIONS if capability >= x)
    return _bare(device.kind, since, device.expandable_segments)


@functools.cache
def _bare(kind: Literal["cuda", "cpu"], capability: tuple[int, int] | None, expandable: bool) -> Device:
    return Device(kind, "", 1, 0, 0, 0.0, 0.0, True, capability, None, False, expandable_segments=expandable)


def verdict(predicted: MemoryEstimate, device: Device) -> Fit:
    """fits, tight (more than the stated share of the device), or no."""
    room = available(device)
    if predicted.peak_bytes > room:
        return "no"
    return "tight" if predicted.peak_bytes > constants.methods().choice.tight_fraction * room else "fits"


def available(device: Device) -> int:
    """Bytes that a run can have on one device: what is free now if it is in this box, else all of it."""
    return min(device.memory_bytes, device.free_bytes) if device.here else device.memory_bytes


def origins(plan: Plan, pinned: Pinned) -> dict[str, str]:
    """Where each execution setting comes from."""
    found = {name: pinned.origin.get(name, CHOSEN) for name in EXECUTION}
    if plan.optimizer_in_backward and _may_step_in_backward(plan, pinned):
        found["max_grad_norm"] = CHOSEN  # 0: the step's own norm is not known in its backward pass
    return found


def _fastest(choices: list[FittedPlan], model: ModelInfo, device: Device) -> FittedPlan:
    """Of the plans about as fast as the fastest, the one with the most exact optimizer, then the lowest peak."""
    seconds = [_seconds(x, model, device) for x in choices]
    enough = min(seconds) * constants.throughput().step.as_fast
    equal = (x for x, time in zip(choices, seconds, strict=True) if time <= enough)
    return min(equal, key=lambda x: (_approximations(x.plan), x.memory.peak_bytes))


def _approximations(plan: Plan) -> int:
    """How many of the optimizer's savings cost exactness: 8-bit states, and no clipping by the step's own norm."""
    return (plan.optimizer != "adamw") + plan.optimizer_in_backward


def _seconds(choice: FittedPlan, model: ModelInfo, device: Device) -> float:
    step = throughput.step_seconds(model.shape, choice.plan, device, choice.load)
    # If the device's rate is unknown, candidates differ only by the recomputed pass.
    return step.point if step else 3.0 + choice.plan.checkpointing


def _candidates(plan: Plan, device: Device, load: throughput.Work, pinned: Pinned) -> Iterator[Iterator[Plan]]:
    """For each combination of the other settings, the plans with growing micro-batches."""
    most = throughput.sequences_per_step(plan, load)
    sizes = tuple(sorted({min(size, most) for size in MICRO_BATCHES}))
    if "micro_batch" in pinned.values:
        sizes = (pinned.values["micro_batch"],)
    options: dict[str, tuple[Any, ...]] = {
        "checkpointing": (True,) if plan.activation_offload else (False, True),
        "chunked_loss": (False,) if adapts_head(plan) else (False, True),
        "optimizer": _optimizers(plan, device),
    }
    for name in options:
        if name in pinned.values:
            options[name] = (pinned.values[name],)
    for values in itertools.product(*options.values()):
        candidate = replace(plan, **dict(zip(options, values, strict=True)))
        yield _growing(candidate, sizes)
        if _may_step_in_backward(plan, pinned):
            yield _growing(replace(candidate, optimizer_in_backward=True, max_grad_norm=0.0), sizes)


def _may_step_in_backward(plan: Plan, pinned: Pinned) -> bool:
    """Full only, unless clipping is asked for; float16 needs all gradients at once (training/optim/optimizers.py)."""
    open_to_it = not {"optimizer_in_backward", "max_grad_norm"} & set(pinned.values)
    return plan.method == "full" and plan.precision != "float16" and open_to_it


def _growing(plan: Plan, sizes: tuple[int, ...]) -> Iterator[Plan]:
    return (replace(plan, micro_batch=size) for size in sizes)


def _optimizers(plan: Plan, device: Device) -> tuple[str, ...]:
    """AdamW, and for full fine-tuning on a GPU 8-bit AdamW; adapters have too few states for it to matter."""
    return ("adamw", "adamw_8bit") if plan.method == "full" and device.kind == "cuda" else ("adamw",)
