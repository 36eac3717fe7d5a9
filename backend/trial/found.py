"""What a trial measured, compared with what was predicted, and what follows from it for the whole run."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from backend import constants
from backend.planner import cost, overhead, throughput
from backend.planner.estimates import Comparison, Interval
from backend.planner.throughput import Work
from backend.run import forgetting, tasks
from backend.run.event_log import EventTail
from backend.run.events import AnyEvent, Calibrated, Replanned, StepDone
from backend.run.folder import RunFolder
from backend.run.history import History, read
from backend.trial.plan import Trial


@dataclass(frozen=True)
class Figures:
    """Predicted or measured figures; None if not known."""

    tokens_per_second: float | None
    step_seconds: float | None
    peak_bytes: int | None
    """Allocated by torch on a GPU, the whole process on a CPU."""
    hours: float | None
    """Of the whole run."""
    cost_usd: float | None
    """Of the whole run."""


@dataclass(frozen=True)
class TrialResult:
    """One method's trial, when it is over."""

    steps: int
    """Steps that were made."""
    planned_steps: int
    seconds: float
    """The whole trial, loading included."""
    predicted: Figures
    measured: Figures
    held_out_rows: int
    loss_before: float | None
    loss_after: float | None
    failure: str
    """Why it ended early, in a sentence; empty if it made all its steps."""
    changed: str
    """What was changed because memory ran out; empty if everything stayed as planned."""
    not_kept: str
    """Why it corrects no prediction; empty if it does."""
    train_seconds: float | None = None
    """Its steps alone."""
    equal_seconds: float | None = None
    """How long the steps of each method were to take; None if their number was given instead."""
    forgetting: str = ""
    """What was forgotten of general text, in a sentence; empty if the plan does not measure it."""
    forgetting_short: str = ""
    """The part that changed most and the verdict, in a few words."""
    task: str = ""
    """The task's score after and before, in a sentence; empty if there is no task."""
    task_short: str = ""
    """The score after training with its interval, in a few words."""


def found(comparison: Comparison, trial: Trial, folder: RunFolder, seconds: float, failure: str) -> TrialResult:
    """Read what the trial in `folder` left; `failure` is why its process was killed, empty if it ended by itself."""
    past, events = read(folder.events_file), list(EventTail(folder.events_file).events())
    failure = failure or _failure(past, trial)
    lesson = past.calibration or Calibrated()
    return TrialResult(
        steps=past.step,
        planned_steps=trial.steps,
        seconds=seconds,
        train_seconds=sum(x.step_seconds or 0.0 for x in events if isinstance(x, StepDone)) or None,
        equal_seconds=trial.train_seconds,
        predicted=_predicted(comparison, trial),
        measured=_measured(comparison, trial, past, _steady(events)),
        held_out_rows=past.started.eval_rows or 0,
        loss_before=past.evaluations[0].loss if past.evaluations else None,
        loss_after=past.evaluations[-1].loss if len(past.evaluations) > 1 else None,
        failure=failure,
        changed="; ".join(x.text for x in events if isinstance(x, Replanned)),
        not_kept="" if lesson.kept else lesson.reason or failure or "it did not end",
        forgetting=forgetting.sentence(forgetting.latest(past.forgetting)),
        forgetting_short=forgetting.short(forgetting.latest(past.forgetting)),
        task=tasks.change(past.tasks),
        task_short=tasks.short(trained) if (trained := tasks.of_trained(past.tasks)) else "",
    )


def _failure(past: History, trial: Trial) -> str:
    """Why the trainer says that it ended early; empty if it did not."""
    if past.finished and past.state == "failed":
        return past.finished.error or "it failed"
    if past.state == "stopped":
        return f"it was stopped after {past.step} of {trial.steps} steps: they took far longer than predicted"
    return ""


def _steady(events: Sequence[AnyEvent]) -> list[StepDone]:
    """The steps whose speed counts: without the first ones if there are more, as in a run's record."""
    steps = [event for event in events if isinstance(event, StepDone)]
    left_out = constants.calibration().steady.left_out
    return steps[min(left_out, max(0, len(steps) - 1)) :]


def _predicted(comparison: Comparison, trial: Trial) -> Figures:
    seen, said = comparison.methods[trial.method], trial.job.predicted
    assert said is not None
    rate = said.tokens_per_second
    tokens = throughput.work(trial.whole, comparison.data).step_tokens
    return Figures(
        tokens_per_second=rate,
        step_seconds=tokens / rate if rate else None,
        peak_bytes=said.peak_bytes if trial.job.device == "cpu" else said.peak_allocated_bytes,
        hours=said.hours,
        cost_usd=seen.cost_usd.point if seen.cost_usd and not math.isnan(seen.cost_usd.point) else None,
    )


def _measured(comparison: Comparison, trial: Trial, past: History, steps: Sequence[StepDone]) -> Figures:
    rates = [x.tokens_per_second for x in steps if x.tokens_per_second is not None]
    rate = statistics.median(rates) if rates else None
    step_seconds = [x.step_seconds for x in steps if x.step_seconds is not None]
    hours = _whole_hours(comparison, trial, past, rate) if rate else None
    price = cost.price(comparison.answers, comparison.device)
    dollars = cost.cost_usd(Interval(hours, hours, hours), price, comparison.device) if hours is not None else None
    return Figures(
        tokens_per_second=rate,
        step_seconds=statistics.median(step_seconds) if step_seconds else None,
        peak_bytes=past.peak_bytes or None,
        hours=hours,
        cost_usd=dollars.point if dollars else None,
    )


def _whole_hours(comparison: Comparison, trial: Trial, past: History, rate: float) -> float | None:
    """The whole run's hours, each part as the trial measured it; None if a part was not reached.

    Download and tokenisation are left out: the run finds them done.
    """
    phases = past.measured.phases
    if not {"load", "checkpoint", "save"} <= set(phases):
        return None
    load: Work = throughput.work(trial.whole, comparison.data)
    each = {name: phase.seconds / phase.times for name, phase in phases.items() if phase.times}
    evaluated, held_out = trial.job.plan, throughput.work(trial.job.plan, comparison.data).held_out_tokens
    rows = load.held_out_tokens / held_out if held_out else 1.0
    evaluations = overhead.evaluations(trial.whole, trial.whole_steps) if evaluated.eval_fraction else 1
    seconds = load.step_tokens / rate * trial.whole_steps
    seconds += evaluations * (each.get("eval", 0.0) * rows + each.get("sample", 0.0))
    seconds += overhead.checkpoints(trial.whole, trial.whole_steps) * each["checkpoint"]
    seconds += each["load"] + phases["save"].seconds  # saving is two stretches if something is measured in between
    if "forgetting" in phases:
        whole, tried = (
            overhead.general_tokens(plan, steps)
            for plan, steps in ((trial.whole, trial.whole_steps), (trial.job.plan, past.step))
        )
        seconds += phases["forgetting"].seconds * (whole / tried if tried else 1.0)
    if "task" in phases:
        asked, tried_with = (
            throughput.with_questions(plan, comparison.data).task_rows for plan in (trial.whole, trial.job.plan)
        )
        seconds += phases["task"].seconds * asked / tried_with
    return seconds / 3600
