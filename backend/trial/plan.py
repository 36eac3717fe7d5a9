"""A method's trial: the planned run, cut to a few steps, with a schedule that begins like the run's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from backend import constants
from backend.answers import Method
from backend.data.report import DataReport
from backend.plan.job import Job
from backend.plan.plan import Plan
from backend.planner import gpu_time, jobs, rules, throughput
from backend.planner.estimates import Comparison


@dataclass(frozen=True)
class Trial:
    """One method's trial, before it has run."""

    method: Method
    job: Job
    """Its plan is the trial's; its prediction is the whole run's, except for the uncorrected figures."""
    steps: int
    whole: Plan
    """The plan of the whole run."""
    whole_steps: int
    warmup_steps: int
    """Of the whole run."""
    seconds: float
    """Predicted, loading included; NaN if the device's speed is not known."""
    train_seconds: float | None = None
    """Time limit of its steps together; None to make `steps` however long they take."""


def of(comparison: Comparison, method: Method, train_seconds: float | None = None) -> Trial:
    """The trial of `method` as the comparison planned it; as many steps as `train_seconds` has room for, if given."""
    seen, model, device, data = comparison.methods[method], comparison.model, comparison.device, comparison.data
    step = _step_seconds(comparison, method)
    steps = most = _steps(seen.steps, step)
    if train_seconds is not None and step:
        steps = min(seen.steps, max(constants.trial().least_steps, round(train_seconds / step)))
        most = min(seen.steps, math.ceil(constants.trial().faster * steps))
    warmup = math.ceil(seen.plan.warmup_fraction * seen.steps)
    plan = _with_few_held_out(_shortened(seen.plan, most, seen.steps, warmup), steps, data)
    expected = replace(plan, max_steps=steps)
    hours = throughput.run_hours(model, expected, device, data, throughput.work(plan, data))
    whole = jobs.job(comparison, method)
    assert whole.predicted is not None
    predicted = replace(whole.predicted, uncorrected=jobs.uncorrected(model, plan, device, data))
    return Trial(
        method=method,
        job=replace(whole, plan=plan, predicted=predicted, output=None),
        steps=rules.steps(expected, data),
        whole=seen.plan,
        whole_steps=seen.steps,
        warmup_steps=warmup,
        seconds=hours.point * 3600 if hours else math.nan,
        train_seconds=train_seconds,
    )


def equal_seconds(comparison: Comparison, methods: Sequence[Method]) -> float | None:
    """Time for the steps of each method's trial, the same for all: as long as the slowest method needs.

    None if there is nothing to compare, or if the device's speed is not known.
    """
    steps = {method: _step_seconds(comparison, method) for method in methods}
    if len(steps) < 2 or None in steps.values():
        return None
    longest = max(_steps(comparison.methods[method].steps, step) * (step or 0.0) for method, step in steps.items())
    return max(longest, constants.trial().least_seconds)


def _step_seconds(comparison: Comparison, method: Method) -> float | None:
    plan, data = comparison.methods[method].plan, comparison.data
    step = throughput.step_seconds(comparison.model.shape, plan, comparison.device, throughput.work(plan, data))
    return step.point if step else None


def _steps(whole: int, step_seconds: float | None) -> int:
    """As many steps as there is time for, within limits."""
    table = constants.trial()
    in_time = int(table.seconds / step_seconds) if step_seconds else table.steps
    return int(min(whole, table.steps, max(table.least_steps, in_time)))


def _shortened(plan: Plan, steps: int, whole: int, warmup: int) -> Plan:
    """The first `steps` of a run of `whole`: evaluated before and after, one checkpoint at the end.

    The learning rate is the whole run's through its warm-up, as far as the trial goes; after that it stays at the
    highest, from which the whole run's falls only slowly.
    """
    plan = replace(plan, max_steps=steps, eval_every=steps, save_every=steps, keep_checkpoints=1)
    plan = replace(plan, keep="last", early_stopping_patience=0, max_forgetting=0.0, budget_stop=False)
    plan = replace(plan, task_rows=min(plan.task_rows, constants.trial().task_rows))
    if steps >= whole:
        return plan
    within = min(steps, warmup)
    # half a step less, so that the trainer's rounding up gives `within` whatever the division leaves
    return replace(
        plan,
        schedule="constant",
        warmup_fraction=max(0.0, within - 0.5) / steps,
        learning_rate=plan.learning_rate * (within / warmup if warmup else 1.0),
    )


def _with_few_held_out(plan: Plan, steps: int, data: DataReport) -> Plan:
    """The plan with fewer held-out rows if evaluating them twice would take longer than the steps."""
    table = constants.trial()
    in_time = table.held_out_share * steps * plan.effective_batch / (2 * gpu_time.forward_share(plan))
    most = max(table.least_held_out, int(in_time))
    if data.held_out_rows or data.split(plan.max_length, plan.eval_fraction)[1] <= most:
        return plan
    return replace(plan, eval_fraction=most / max(1, data.cut(plan.max_length).rows))
