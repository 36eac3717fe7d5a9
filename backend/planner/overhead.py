"""Seconds of a run besides its steps: starting, loading, sample answers, checkpoints."""

from __future__ import annotations

import math

from backend import constants
from backend.model.info import ModelInfo
from backend.model.shape import ModelShape
from backend.plan import counts, prompts
from backend.plan.plan import Plan
from backend.planner import gpu_time, memory
from backend.planner.device import Device


def evaluations(plan: Plan, steps: int) -> int:
    """Evaluations on the held-out rows: before the first step, every `eval_every`, at the end."""
    return 1 + counts.times_due(counts.eval_interval(plan, steps), 0, steps)


def checkpoints(plan: Plan, steps: int) -> int:
    """Checkpoints that are written: every `save_every`, and at the end."""
    return counts.times_due(counts.save_interval(plan, steps), 0, steps)


def _best_bytes(shape: ModelShape, plan: Plan) -> int:
    """Bytes of the weights that are kept without a checkpoint; a whole model's in the type that it is saved in."""
    if plan.method != "full":
        return memory.trainable(shape, plan) * memory.trained_bytes(plan)
    return shape.parameters * (memory.FLOAT32 if plan.precision == "float32" else memory.SIXTEEN_BIT)


def weights_alone(plan: Plan, steps: int) -> int:
    """How often the weights are kept without a checkpoint, if every evaluation is the best so far."""
    if plan.keep != "best" or plan.eval_fraction == 0:
        return 0
    evaluated, saved = counts.eval_interval(plan, steps), counts.save_interval(plan, steps)
    return (steps - 1) // evaluated - (steps - 1) // math.lcm(evaluated, saved)


def general_tokens(plan: Plan, steps: int) -> float:
    """Tokens of general text that forgetting is measured on in a whole run; 0 if it is not.

    All of it after training; a slice at each evaluation; for full fine-tuning all of it before, for adapters twice each
    time: with them and without. Half of it if the other half is learned.
    """
    return general_ends(plan) + general_slice(plan) * evaluations(plan, steps)


def general_ends(plan: Plan) -> float:
    """Tokens before and after training: all of the text twice after it for adapters, once each for full fine-tuning."""
    return 2 * _general_whole(plan)


def general_slice(plan: Plan) -> float:
    """Tokens of each evaluation: a slice of the text, twice for adapters."""
    passes = 1 if plan.method == "full" else 2
    return passes * constants.forgetting().measure.slice * _general_whole(plan)


def _general_whole(plan: Plan) -> float:
    """Tokens of the general text; 0 if forgetting is not measured."""
    if not plan.measure_forgetting:
        return 0.0
    table = constants.forgetting().measure
    whole = sum(part.tokens for part in constants.general().part)
    if plan.general_data:
        whole = table.most_rows * table.row_tokens
    return whole / 2 if plan.replay_fraction else float(whole)


def start_seconds(model: ModelInfo, plan: Plan) -> float:
    """Importing torch and the other libraries, downloading, reading the weights, quantising them to NF4."""
    table = constants.throughput().overhead
    seconds = table.start_seconds + model.weight_bytes / table.disk_bytes_per_second
    seconds += model.download_bytes / table.download_bytes_per_second
    if plan.method == "qlora":
        seconds += model.weight_bytes / table.quantise_bytes_per_second
    return float(seconds)


def checkpoint_seconds(shape: ModelShape, plan: Plan, steps: int) -> float:
    """Writing all checkpoints and the result, synced to the disk; a checkpoint's files are read again and hashed."""
    table = constants.throughput().overhead
    weights = memory.trainable(shape, plan) * memory.trained_bytes(plan)
    each = weights + memory.optimizer_states(shape, plan)
    per_byte = 1 / table.disk_bytes_per_second + 1 / table.hash_bytes_per_second
    best = weights_alone(plan, steps) * _best_bytes(shape, plan) * per_byte
    return float(checkpoints(plan, steps) * each * per_byte + best + weights / table.disk_bytes_per_second)


def task_seconds(shape: ModelShape, plan: Plan, device: Device) -> float:
    """Scoring the task before and after: answers of the longest length, several at a time."""
    if not plan.task:
        return 0.0
    batches = -(-plan.task_rows // (memory.task_batch(shape, plan) * plan.processes))
    return float(2 * batches * plan.task_tokens * token_seconds(shape, plan, device))


def sample_seconds(shape: ModelShape, plan: Plan, device: Device) -> float:
    """An evaluation's sample answers: token by token, each reading all weights, to their end or until time is up."""
    table = constants.throughput().sample
    each = min(table.seconds_most, table.tokens * token_seconds(shape, plan, device))
    return float(prompts.groups(plan.sample_prompts) * each)


def token_seconds(shape: ModelShape, plan: Plan, device: Device) -> float:
    """One token of an answer, for which all weights are read."""
    if device.kind == "cpu":
        bandwidth = constants.throughput().cpu.bytes_per_second
    else:
        bandwidth = constants.throughput().gpu.bandwidth * device.bytes_per_second
    token = memory.weights(shape, plan) / bandwidth
    token += gpu_time.launch_seconds(shape, plan) / (3 + plan.checkpointing)
    return float(token)
