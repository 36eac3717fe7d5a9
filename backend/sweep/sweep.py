"""Runs a sweep: each setting is a run like any other, which is paused if it loses and trained on if it wins."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from backend.answers import Answers
from backend.errors import UserError, wont_do
from backend.planner import cost, jobs, overhead, rules, throughput
from backend.planner.compare import compare
from backend.planner.device import Device
from backend.planner.estimates import Comparison, MethodEstimate
from backend.run import forgetting, history
from backend.run.folder import RunFolder
from backend.run.history import History
from backend.sweep import grid, halving

CHILD = (sys.executable, "-m", "backend.sweep.child")
Say = Callable[[str], None]


@dataclass
class Candidate:
    """One setting of the grid, and how far it came."""

    settings: Mapping[str, Any]
    comparison: Comparison
    estimate: MethodEstimate
    folder: RunFolder | None = None
    step: int = 0
    loss: float | None = None
    """Held-out loss at `step`; of what is saved once it has ended."""
    seconds: float = 0.0
    failure: str = ""
    past: History | None = field(default=None, repr=False)
    compared_at: int = 0
    """The step at which it was compared with others after a limit of its plan had ended it sooner; 0 if none has."""

    usd_per_second: float | None = None
    """Of all devices that it trains on; None if there is no price."""

    @property
    def cost_usd(self) -> float | None:
        """None if there is no price."""
        return None if self.usd_per_second is None else self.seconds * self.usd_per_second

    @property
    def has_ended(self) -> bool:
        """It makes no further steps: it has made its last, or early stopping or max_forgetting has ended it."""
        return self.past is not None and self.past.state == "done"


@dataclass(frozen=True)
class Sweep:
    """What is going to be tried."""

    candidates: list[Candidate]
    rungs: list[halving.Rung]
    seconds: float
    """The most that it may take."""
    predicted_seconds: float

    @property
    def whole_steps(self) -> int:
        """Steps if every setting were trained to the end."""
        return len(self.candidates) * self.rungs[-1].step

    @property
    def steps(self) -> int:
        """Steps with halving."""
        return halving.steps(len(self.candidates), self.rungs[-1].step)


def plan(answers: Answers, comparison: Comparison, settings: Sequence[Mapping[str, Any]], hours: float | None) -> Sweep:
    """The settings with their plans, and as many steps as the limits pay for.

    `comparison` is of the answers without the grid. Raises UserError if there is no limit, if no rate is known of the
    device, or if not even a step fits.
    """
    candidates = [_candidate(answers, comparison, one) for one in settings]
    _refuse_nothing_to_rank_by(candidates[0])
    rates = [x.usd_per_second for x in candidates if x.usd_per_second is not None]
    seconds = _limit(answers, hours, max(rates, default=None))
    each = _Seconds(*(max(values) for values in zip(*map(_seconds, candidates), strict=True)))
    if math.isnan(each.step):
        raise UserError("the speed of this device is not known; `fttui doctor` measures it", "gpu")
    total, count = min(candidate.estimate.steps for candidate in candidates), len(candidates)
    most = halving.affordable(count, total, seconds, lambda last: each.together(count, last))
    if not most:
        raise UserError(
            f"the limit does not pay for a step of each of {len(candidates)} settings: raise it, or list fewer values",
            "hours",
        )
    rungs = halving.rungs(len(candidates), most)
    own = replace(answers, set=(*answers.set, *_of_the_longest(rungs)))
    candidates = [_candidate(own, comparison, one) for one in settings]
    return Sweep(candidates, rungs, seconds, each.together(count, most))


def run(sweep: Sweep, say: Say) -> list[Candidate]:
    """Run the sweep; returns the best setting first. When its time is up, it ends with the results so far.

    KeyboardInterrupt ends it too, each run with a checkpoint.
    """
    began, left = time.monotonic(), list(sweep.candidates)
    for rung in sweep.rungs:
        left = ranked(left)[: rung.survivors]
        say(f"{len(left)} setting{'s' if len(left) > 1 else ''} to step {rung.step:,}")
        for candidate in left:
            remaining = sweep.seconds - (time.monotonic() - began)
            if remaining <= 0:
                say("the time is up")
                return ranked(sweep.candidates)
            if not candidate.has_ended:
                _train(candidate, rung.step, remaining)
            if candidate.has_ended:
                candidate.compared_at = rung.step
            loss = "no loss" if candidate.loss is None else f"held-out loss {candidate.loss:.4f}"
            loss += (
                f", ended early at step {candidate.step:,}"
                if candidate.has_ended and candidate.step < rung.step
                else ""
            )
            say(f"  {grid.words(candidate.settings)}: {candidate.failure or loss}")
        left = [candidate for candidate in left if not candidate.failure]
        if not left:
            break
    return ranked(sweep.candidates)


def ranked(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Candidates by how far they came or were compared, then by the lowest held-out loss; failures last."""
    return sorted(
        candidates,
        key=lambda x: (bool(x.failure), -max(x.step, x.compared_at), math.inf if x.loss is None else x.loss),
    )


def front(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The Pareto front: candidates that no other beats in held-out loss, time and forgetting; cost follows time."""
    known = [x for x in candidates if x.loss is not None and not x.failure]
    return [x for x in known if not any(_beats(y, x) for y in known)]


def _beats(one: Candidate, other: Candidate) -> bool:
    ours, theirs = _figures(one), _figures(other)
    return all(a <= b for a, b in zip(ours, theirs, strict=True)) and ours != theirs


def _figures(one: Candidate) -> tuple[float, ...]:
    measured = forgetting.latest(one.past.forgetting) if one.past else ()
    rise = max((forgetting.change(x) or 0.0 for x in measured), default=0.0)
    return (math.inf if one.loss is None else one.loss, one.seconds, rise)


def _of_the_longest(rungs: Sequence[halving.Rung]) -> tuple[str, ...]:
    """All settings have the schedule of the longest run, and are evaluated at every rung."""
    return (f"max_steps={rungs[-1].step}", f"eval_every={rungs[0].step}", f"save_every={rungs[-1].step}")


def _candidate(answers: Answers, comparison: Comparison, settings: Mapping[str, Any]) -> Candidate:
    written = tuple(grid.words({key: value}) for key, value in settings.items())
    own = replace(answers, set=(*answers.set, *written))
    device = comparison.device
    found = compare(own, device, comparison.model, comparison.data)
    method = settings.get("method") or rules.pin(own).values.get("method") or comparison.recommended
    if method is None:
        raise UserError(f"{grid.words(settings)}: {' '.join(found.reasons)}", "grid")
    seen = found.methods[method]
    if seen.obstacles:
        raise UserError(f"{grid.words(settings)}: {' '.join(seen.obstacles)}", "grid")
    return Candidate(settings, found, seen, usd_per_second=_usd_per_second(answers, seen, device))


def _usd_per_second(answers: Answers, seen: MethodEstimate, device: Device) -> float | None:
    """None if there is no price; several processes share one CPU."""
    rate = cost.price(answers, device)
    devices = 1 if device.kind == "cpu" else seen.plan.processes
    return rate.typical / 3600 * devices if rate else None


def _refuse_nothing_to_rank_by(candidate: Candidate) -> None:
    plan, data = candidate.estimate.plan, candidate.comparison.data
    if not data.split(plan.max_length, plan.eval_fraction)[1]:
        fix = "give it more rows, or set eval_fraction higher"
        raise UserError(
            f"eval_fraction: a sweep compares held-out losses, and no row is held out; {fix}", "eval_fraction"
        )


def _limit(answers: Answers, hours: float | None, usd_per_second: float | None) -> float:
    if hours is not None and not 0 < hours < math.inf:
        raise wont_do("hours", hours, "a number above 0")
    limits = [3600 * hours] if hours else []
    if answers.budget_usd is not None:
        if usd_per_second is None:
            raise UserError("no price is known of this device; say --price USD_PER_GPU_HOUR, or --hours", "budget")
        limits += [answers.budget_usd / usd_per_second] if usd_per_second else []
    if not limits:
        raise UserError("a sweep needs a limit: --hours H, or --budget USD", "hours")
    return min(limits)


class _Seconds(NamedTuple):
    """What one setting takes, predicted; NaN if the device's speed is not known."""

    step: float
    evaluation: float
    start: float
    """Each time that it is started, or started again for the next rung."""
    ends: float
    """Before its first step and after its last one: scoring the task, and all of the general text."""

    def together(self, count: int, last: int) -> float:
        """A sweep of `count` such settings whose last one makes `last` steps."""
        of_steps = halving.steps(count, last) * self.step + halving.evaluations(count, last) * self.evaluation
        return of_steps + halving.starts(count, last) * self.start + (count + 1) * self.ends / 2


def _seconds(candidate: Candidate) -> _Seconds:
    plan, found = candidate.estimate.plan, candidate.comparison
    model, device, load = found.model, found.device, throughput.work(plan, found.data)
    step = throughput.step_seconds(model.shape, plan, device, load)
    return _Seconds(
        step=step.point if step else math.nan,
        evaluation=throughput.evaluation_seconds(model, plan, device, load),
        start=overhead.start_seconds(model, plan),
        ends=overhead.task_seconds(model.shape, throughput.with_questions(plan, found.data), device)
        + throughput.general_seconds(model, plan, device, load),
    )


def _train(candidate: Candidate, step: int, seconds: float) -> None:
    """Train it up to `step` in a process of its own, for `seconds` at the most."""
    if candidate.folder is None:
        job = jobs.job(candidate.comparison, candidate.estimate.method)
        candidate.folder = RunFolder.create(replace(job, output=None))
    folder = candidate.folder
    with folder.log_file.open("ab") as log:
        process = subprocess.Popen(
            [*CHILD, str(folder.path), str(step)], stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
        )
    try:
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=seconds)
    finally:
        assert process.stdin is not None
        process.stdin.close()  # it pauses at its next step if it is still training
        process.wait()
    _take_in(candidate, process.returncode)


def _take_in(candidate: Candidate, code: int) -> None:
    assert candidate.folder is not None
    before = candidate.past.finished if candidate.past else None
    past = candidate.past = history.read(candidate.folder.events_file)
    finished = past.finished
    candidate.step = past.step
    candidate.seconds = (finished.seconds or 0.0) if finished else candidate.seconds
    candidate.loss = past.result_loss
    crashed = code and finished == before  # after writing its end it may still crash while Python exits
    if past.state == "failed" or not finished or crashed:
        candidate.failure = (finished.error if finished else None) or f"its process died (exit code {code})"
