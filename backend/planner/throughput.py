"""How long a run takes: the seconds of an optimizer step, as an interval, and the hours of the whole run."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

from backend import constants
from backend.data.packing import LENGTHS, PREDICTIONS, filled
from backend.data.report import DataReport
from backend.measured.correction import Correction
from backend.model.info import ModelInfo
from backend.model.shape import ModelShape
from backend.plan import counts
from backend.plan.plan import Plan
from backend.planner import gpu_time, overhead, rules
from backend.planner.device import Device
from backend.planner.estimates import Interval
from backend.planner.gpu_time import Kernels, Pass


@dataclass(frozen=True)
class Work:
    """The data as one plan trains it, in tokens without padding."""

    step_tokens: float
    """Mean tokens of one effective batch."""
    length: int
    """Tokens of the longest sequence of a micro-batch, as the trainer fills it up."""
    scored: int
    """Positions of such a sequence whose logits are computed."""
    held_out_tokens: float
    attended: float
    """Length of the row that a token belongs to, as a mean over the tokens."""
    row_lengths: tuple[int, ...] = ()
    """Expected lengths of the rows of one device's step, ascending, if rows are padded; empty if they are packed or
    their lengths are not known."""
    rows: int = 0
    """Rows of a whole effective batch if the data has fewer than it asks for; 0 if it has enough."""
    filled: float = 1.0
    """dpo: tokens of the data in each of a pair whose sides are as long as the longer one."""


def work(plan: Plan, data: DataReport) -> Work:
    """Tokens of a step and of a sequence, from the rows' lengths cut at `max_length`."""
    cut = data.cut(plan.max_length)
    mean = cut.tokens / cut.rows if cut.rows else float(plan.max_length)
    longest = min(plan.max_length, data.percentile(100) if data.rows else plan.max_length)
    sides, pair = counts.sequences_per_row(plan), 1.0
    if sides == 2 and cut.pair_tokens:  # `mean` is of the longer sides
        pair = cut.pair_tokens / (sides * cut.tokens)
    few = _few_rows(plan, data)
    step_tokens = _with_replay(mean, plan) * (few or plan.effective_batch) * sides * pair
    length = min(plan.max_length, max(longest, math.ceil(step_tokens / plan.processes))) if plan.packing else longest
    length = filled(max(1, length), LENGTHS, plan.max_length)
    scored = max(1, math.ceil(length * data.scored_share))
    return Work(
        step_tokens=step_tokens,
        length=length,
        scored=filled(scored, PREDICTIONS, length),
        held_out_tokens=sides * pair * mean * data.split(plan.max_length, plan.eval_fraction)[1],
        attended=_row_of_a_token(plan, data),
        row_lengths=() if plan.packing or not data.rows else _row_lengths(plan, data),
        rows=few,
        filled=pair,
    )


def _few_rows(plan: Plan, data: DataReport) -> int:
    """All rows that are trained on, if they are fewer than the effective batch; 0 if not, or if there are none."""
    train, _ = data.split(plan.max_length, plan.eval_fraction)
    there = train + counts.replay_rows(train, plan)
    return there if there < plan.effective_batch else 0


def _with_replay(mean: float, plan: Plan) -> float:
    """Mean tokens of a row if general text is mixed in, its parts in turn; `mean` is that of the data's own rows."""
    if not plan.replay_fraction:
        return mean
    shipped = [part.tokens / part.rows for part in constants.general().part]
    general = constants.forgetting().measure.row_tokens if plan.general_data else sum(shipped) / len(shipped)
    return mean + plan.replay_fraction * (min(general, plan.max_length) - mean)


def with_questions(plan: Plan, data: DataReport) -> Plan:
    """The plan with as many questions of a task as rows are held out at the most."""
    _, held_out = data.split(plan.max_length, plan.eval_fraction)
    return replace(plan, task_rows=max(1, min(plan.task_rows, held_out))) if data.rows else plan


def _row_of_a_token(plan: Plan, data: DataReport) -> float:
    return data.cut(plan.max_length).row_of_a_token if data.rows else float(plan.max_length)


def _row_lengths(plan: Plan, data: DataReport) -> tuple[int, ...]:
    """Expected lengths: the k-th shortest of n random rows is about as long as the data's k / (n + 1) quantile."""
    rows = max(1, (_few_rows(plan, data) or plan.effective_batch) // plan.processes)
    return tuple(min(plan.max_length, data.percentile(100 * k / (rows + 1))) for k in range(1, rows + 1))


def padding(plan: Plan, load: Work) -> float:
    """Tokens that are computed, padding included, for each token of the data.

    Rows that are not packed are sorted by length, and padded to the longest of their micro-batch; of a pair to its
    longer side. Sequences are then filled up to a multiple (backend/data/packing.py).
    """
    if plan.packing:
        mean = load.step_tokens / (plan.processes * sequences_per_step(plan, load))
        return max(1.0, filled(math.ceil(mean), LENGTHS, load.length) / mean)
    lengths, size = load.row_lengths, plan.micro_batch
    groups = [lengths[i : i + size] for i in range(0, len(lengths), size)]
    computed = sum(filled(max(group), LENGTHS, plan.max_length) * len(group) for group in groups)
    return computed / sum(lengths) / load.filled if lengths else 1.0


def sequences_per_step(plan: Plan, load: Work) -> int:
    """Sequences that one device forwards in one optimizer step."""
    total = load.step_tokens / load.length if plan.packing else load.rows or plan.effective_batch
    return max(1, math.ceil(total / plan.processes))


def passes_per_step(plan: Plan, load: Work) -> int:
    """Micro-batches that one device forwards in one optimizer step."""
    return math.ceil(sequences_per_step(plan, load) / plan.micro_batch)


def one_pass(plan: Plan, load: Work) -> Pass:
    """The mean micro-batch of one device.

    sdpa keeps packed rows apart with a mask and computes attention over the whole sequence (its mean length is taken)
    rather than within each row; varlen and flash attention compute each row by itself.
    """
    tokens = load.step_tokens / plan.processes
    masked = plan.packing and plan.attention in ("sdpa", "eager") and load.attended < load.length
    attended = 2 * tokens / sequences_per_step(plan, load) if masked else load.attended
    return Pass(tokens * padding(plan, load) / passes_per_step(plan, load), attended, load.scored / load.length)


def flops_per_token(shape: ModelShape, plan: Plan, load: Work) -> float:
    """Floating-point operations that one trained token takes."""
    one = one_pass(plan, load)
    lengths = gpu_time.lengths_flops(shape, plan) / max(1.0, one.tokens)
    return gpu_time.dense_flops(shape, plan, one.scored) + gpu_time.attention_flops(shape, plan, one.attended) + lengths


def step_seconds(
    shape: ModelShape,
    plan: Plan,
    device: Device,
    load: Work,
    kernels: Kernels | None = None,
) -> Interval | None:
    """Seconds of one optimizer step; None if the device's rate, or a GPU's bandwidth, is not known.

    Preference training makes more forward passes: the reference's, and KTO's of mismatched answers by both models.
    Finished runs on this box correct the estimate, and replace it if the device is not known.
    `kernels`: those of other trainers; by default the plan's.
    """
    seconds = _of_passes(shape, plan, device, load, kernels or gpu_time.kernels_of(plan))
    more = 1 + _more_passes(plan) * gpu_time.forward_share(plan)
    return seconds and Interval(seconds.low * more, seconds.point * more, seconds.high * more)


def _more_passes(plan: Plan) -> int:
    """Further forward passes of a step: the reference's, and KTO's of mismatched answers by both models."""
    return {"sft": 0, "dpo": 1, "kto": 3}[plan.objective]


def _one_pass(plan: Plan, load: Work) -> float:
    """A forward pass over one token, in steps."""
    share = gpu_time.forward_share(plan)
    return share / (1 + _more_passes(plan) * share) / max(1.0, load.step_tokens)


def _of_passes(shape: ModelShape, plan: Plan, device: Device, load: Work, kernels: Kernels) -> Interval | None:
    """Seconds of the forward and backward passes of a step, and of its update."""
    measured = device.correction(plan.method, shape.parameters)
    if not device.flops_per_second or (device.kind == "cuda" and not device.bytes_per_second):
        return _as_measured(shape, plan, load, measured)
    if device.kind == "cpu":
        return _corrected(_on_cpu(shape, plan, device, load), measured)
    one, passes = one_pass(plan, load), passes_per_step(plan, load)
    seconds = gpu_time.step_seconds(shape, plan, device, one, passes, kernels)
    best = constants.throughput().gpu.best_attention
    fastest = gpu_time.step_seconds(shape, plan, device, one, passes, kernels, best)
    spread = gpu_time.spread(shape, plan, device)
    return _corrected(Interval(fastest / spread, seconds, seconds * spread), measured)


def _on_cpu(shape: ModelShape, plan: Plan, device: Device, load: Work) -> Interval:
    table = constants.throughput().cpu
    gain = table.bf16_gain if plan.precision == "bfloat16" else 1.0
    flops = flops_per_token(shape, plan, load) * load.step_tokens * padding(plan, load)
    seconds = flops / (gain * device.flops_per_second) * (table.chunked_loss if plan.chunked_loss else 1.0)
    slowest, usual, fastest = table.shares(plan.method)
    return Interval(seconds / fastest, seconds / usual, seconds / slowest)


def _as_measured(shape: ModelShape, plan: Plan, load: Work, measured: Correction) -> Interval | None:
    """Seconds of a step from the FLOP/s that finished runs of this method reached, if nothing else is known."""
    if not measured.flops_per_second or plan.processes > 1:
        return None
    seconds = flops_per_token(shape, plan, load) * load.step_tokens / measured.flops_per_second
    spread = max(measured.agreement, constants.throughput().measured.spread) ** (1 / measured.confidence)
    return Interval(seconds / spread, seconds, seconds * spread)


def _corrected(predicted: Interval, measured: Correction) -> Interval:
    """Corrected by runs of this method; the more of them, the more the interval narrows to their own spread."""
    if not measured.runs:
        return predicted
    point, trust = predicted.point / measured.speed, measured.confidence
    own = max(measured.agreement, constants.throughput().measured.spread) ** trust
    faster, slower = (predicted.point / predicted.low) ** (1 - trust), (predicted.high / predicted.point) ** (1 - trust)
    return Interval(point / (own * faster), point, point * own * slower)


def run_hours(
    model: ModelInfo,
    plan: Plan,
    device: Device,
    data: DataReport,
    load: Work,
) -> Interval | None:
    """Hours of the run: steps, evaluations, forgetting, samples, saving, loading; None if the rate is not known."""
    found = _parts(model, plan, device, data, load)
    if found is None:
        return None
    other = (found.start + found.saving) * found.correction
    spread = constants.throughput().overhead.spread
    step, in_steps = found.step, found.total + found.evaluations
    return Interval(
        (step.low * in_steps + found.samples + other / spread) / 3600,
        (step.point * in_steps + found.samples + other) / 3600,
        (step.high * in_steps + found.samples + other * spread) / 3600,
    )


def evaluation_seconds(model: ModelInfo, plan: Plan, device: Device, load: Work) -> float:
    """One evaluation: the held-out rows, the slice of general text, sample answers; NaN if the rate is not known."""
    step = step_seconds(model.shape, plan, device, load)
    if step is None:
        return math.nan
    tokens = load.held_out_tokens * (1 + _more_passes(plan)) + overhead.general_slice(plan)
    return step.point * tokens * _one_pass(plan, load) + overhead.sample_seconds(model.shape, plan, device)


def general_seconds(model: ModelInfo, plan: Plan, device: Device, load: Work) -> float:
    """All of the general text before and after training; NaN if the rate is not known."""
    step = step_seconds(model.shape, plan, device, load)
    return step.point * overhead.general_ends(plan) * _one_pass(plan, load) if step else math.nan


def phase_hours(model: ModelInfo, plan: Plan, device: Device, data: DataReport, load: Work) -> dict[str, float]:
    """Hours of loading, training, evaluating and saving; empty if the rate is not known."""
    found = _parts(model, plan, device, data, load)
    if found is None:
        return {}
    seconds = {
        "load": found.start * found.correction,
        "train": found.step.point * found.total,
        "evaluate": found.step.point * found.evaluations + found.samples,
        "save": found.saving * found.correction,
    }
    return {name: value / 3600 for name, value in seconds.items()}


class _Parts(NamedTuple):
    """What a run consists of."""

    step: Interval
    """Seconds of one step."""
    total: int
    """Steps."""
    evaluations: float
    """Time of all evaluations together, including forgetting, in steps."""
    samples: float
    """Seconds of the questions that are asked."""
    start: float
    """Seconds until the first step."""
    saving: float
    """Seconds of writing checkpoints and the result."""
    correction: float
    """Factor on `start` and `saving`, from finished runs on this box."""


def _parts(model: ModelInfo, plan: Plan, device: Device, data: DataReport, load: Work) -> _Parts | None:
    step = step_seconds(model.shape, plan, device, load)
    if step is None:
        return None
    total = rules.steps(plan, data)
    evaluations = overhead.evaluations(plan, total)
    one_pass = _one_pass(plan, load)
    forward = load.held_out_tokens * (1 + _more_passes(plan)) * one_pass
    general = overhead.general_tokens(plan, total) * one_pass
    return _Parts(
        step=step,
        total=total,
        evaluations=evaluations * forward + general,
        samples=evaluations * overhead.sample_seconds(model.shape, plan, device)
        + overhead.task_seconds(model.shape, with_questions(plan, data), device),
        start=overhead.start_seconds(model, plan),
        saving=overhead.checkpoint_seconds(model.shape, plan, total),
        correction=device.correction(plan.method, model.shape.parameters).overhead,
    )
