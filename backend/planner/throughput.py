"""How long a run takes: FLOPs by method over the device's rate, bounded by its bandwidth, and what is no step."""

from __future__ import annotations

import math
from dataclasses import dataclass

from backend.data import split
from backend.data.report import DataReport
from backend.model.info import ModelInfo
from backend.model.shape import ModelShape
from backend.planner import constants, memory, rules
from backend.planner.device import Device
from backend.planner.outlook import Interval
from backend.planner.plan import Plan


@dataclass(frozen=True)
class Work:
    """The data under one plan: tokens, not padding."""

    step_tokens: float
    """Mean tokens of one effective batch."""
    length: int
    """Tokens of the longest sequence of a micro-batch."""
    scored: int
    """Tokens of such a sequence that are in the loss."""
    held_out_tokens: float


def work(plan: Plan, data: DataReport) -> Work:
    """Tokens a step and a sequence have, from the rows' lengths cut at `max_length`."""
    mean = data.cut(plan.max_length).tokens / max(1, data.rows)
    longest = min(plan.max_length, int(data.row_tokens.max()) if data.rows else plan.max_length)
    step_tokens = mean * plan.effective_batch
    length = min(plan.max_length, max(longest, math.ceil(step_tokens / plan.processes))) if plan.packing else longest
    scored = math.ceil(length * data.scored_share)
    return Work(step_tokens, max(1, length), max(1, scored), mean * split.count(data.rows, plan.eval_fraction))


def sequences_per_step(plan: Plan, load: Work) -> int:
    """Sequences that one device forwards in one optimizer step."""
    total = load.step_tokens / load.length if plan.packing else plan.effective_batch
    return max(1, math.ceil(total / plan.processes))


def flops_per_token(shape: ModelShape, plan: Plan, length: float) -> float:
    """Floating-point operations one trained token takes.

    2N forward, 2N for the activations' gradient, 2N for the weights' gradient (full only: adapters skip the frozen
    weights'), 2N more where checkpointing recomputes; N counts weights that multiply a token. Attention adds
    2 x length x width x layers a pass (forward, twice that backward, once more recomputed).
    """
    passes = 2 + (plan.method == "full") + plan.checkpointing
    dense = 2 * shape.matmul_parameters_per_token * passes
    if plan.method != "full":
        dense += 6 * memory.trainable(shape, plan)
    attention = 2 * length * shape.heads * shape.head_dim * shape.layers * (3 + plan.checkpointing)
    return dense + attention


def step_seconds(shape: ModelShape, plan: Plan, device: Device, load: Work) -> Interval | None:
    """Seconds of one optimizer step; None where the device's rate is not known."""
    if not device.flops_per_second:
        return None
    rate = _rate(plan, device, load)
    flops = flops_per_token(shape, plan, load.length) * load.step_tokens / plan.processes
    traffic = _traffic_seconds(shape, plan, device, load)
    slower = _penalty(plan, device)
    times = [max(flops / speed * slower, traffic) for speed in (rate.high, rate.point, rate.low)]
    return Interval(*times)


def run_hours(model: ModelInfo, plan: Plan, device: Device, data: DataReport, load: Work) -> Interval | None:
    """Hours of the whole run: steps, evaluations, loading, quantising and saving."""
    step = step_seconds(model.shape, plan, device, load)
    if step is None:
        return None
    table = constants.throughput()["overhead"]
    forward = 1 / (2 + (plan.method == "full") + plan.checkpointing)
    evaluation = forward * load.held_out_tokens / max(1.0, load.step_tokens)
    in_steps = rules.steps(plan, data) + evaluation * (table["evaluations"] + 2)
    other = _overhead_seconds(model, plan)
    spread = table["spread"]
    return Interval(
        (step.low * in_steps + other * (1 - spread)) / 3600,
        (step.point * in_steps + other) / 3600,
        (step.high * in_steps + other * (1 + spread)) / 3600,
    )


def _rate(plan: Plan, device: Device, load: Work) -> Interval:
    """FLOP/s that a step reaches on one device."""
    table = constants.throughput()
    if device.kind == "cpu":
        gain = table["cpu"]["bf16_gain"] if plan.precision == "bfloat16" else 1.0
        return Interval(*(share * gain * device.flops_per_second for share in table["cpu"][plan.method]))
    entry = next(
        x for x in table["utilisation"] if tuple(x.get("compute_capability", ())) in ((), device.compute_capability)
    )
    tokens = min(plan.micro_batch * load.length, load.step_tokens)
    filled = tokens / (tokens + table["step"]["half_tokens"])
    return Interval(*(share * filled * device.flops_per_second for share in entry[plan.method]))


def _traffic_seconds(shape: ModelShape, plan: Plan, device: Device, load: Work) -> float:
    """Least time for a step's reads and writes: weights once a pass and micro-batch, optimizer states once."""
    if not device.bytes_per_second:
        return 0.0
    passes = 2 + plan.checkpointing
    micro_batches = math.ceil(sequences_per_step(plan, load) / plan.micro_batch)
    weights = memory.weights(shape, plan) * passes * micro_batches
    optimizer = constants.throughput()["step"]["optimizer_bytes"] * memory.trainable(shape, plan)
    return float((weights + optimizer) / plan.processes / device.bytes_per_second)


def _penalty(plan: Plan, device: Device) -> float:
    """How much longer a step takes for what saves memory (the loss's chunks, 8-bit states, offload)."""
    table = constants.throughput()["penalty"]
    factor = 1.0
    if plan.chunked_loss:
        factor *= table[f"chunked_loss_{device.kind}"]
    if plan.optimizer != "adamw":
        factor *= table["eight_bit"]
    if plan.optimizer_in_backward:
        factor *= table["in_backward"]
    if plan.activation_offload:
        factor *= table["offload"]
    return float(factor)


def _overhead_seconds(model: ModelInfo, plan: Plan) -> float:
    table = constants.throughput()["overhead"]
    seconds = table["start_seconds"] + model.weight_bytes / table["disk_bytes_per_second"]
    seconds += model.download_bytes / table["download_bytes_per_second"]
    if plan.method == "qlora":
        seconds += model.weight_bytes / table["quantise_bytes_per_second"]
    if plan.method == "full":
        seconds += plan.keep_checkpoints * model.weight_bytes / table["disk_bytes_per_second"]
    return float(seconds)
