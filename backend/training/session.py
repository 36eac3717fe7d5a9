"""Everything that one run holds while it trains: it makes steps and evaluates.

Writing checkpoints and the result is in saving/session_files.py.
"""

from __future__ import annotations

import logging
import time
import weakref
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor

from backend.data.prepare import Prepared
from backend.errors import TrainingFailed
from backend.measured import ran_out
from backend.plan import fields
from backend.plan.counts import total_steps
from backend.plan.job import Job
from backend.plan.plan import Plan
from backend.run.control import CHANGEABLE
from backend.run.events import Evaluated, FindingReported, Replanned, Sampled
from backend.run.folder import RunFolder
from backend.training import checks, loss, methods, quiet, relief, sample
from backend.training.advice import task_batch, would_fit
from backend.training.adviser import Adviser
from backend.training.ahead import Ahead
from backend.training.batches import Batch, micro_batches
from backend.training.ending import Ending, budget_spent, early_stop, too_much_forgotten
from backend.training.evaluate import held_out_loss, perplexity
from backend.training.failure import first_line
from backend.training.forgetting.watch import Watch
from backend.training.journal import Journal, StepRecord, likely_cause_of_nan
from backend.training.meters.progress import Pace, RunProgress
from backend.training.optim.optimizers import Updater
from backend.training.order import Order
from backend.training.parallel import sharding
from backend.training.parallel.execution import Execution
from backend.training.parallel.ranks import ALONE, Ranks
from backend.training.preference import PreferenceBatch, PreferenceLoss, preference_batches
from backend.training.report import Report
from backend.training.schedule import learning_rate
from backend.training.step import forward_backward
from backend.training.task import Task

Value = TypeVar("Value")
SAMPLING = "the sample answers"
"""An activity in which memory may run out; steps, evaluations and session_files.py have their own names."""
MOST_OVERFLOWS = 16
"""Attempts at a float16 step, each with half the loss scale of the one before."""


class NothingLeft(TrainingFailed):
    """Out of memory with the leanest settings."""


@dataclass(frozen=True)
class _EffectiveBatch:
    """The rows of one step."""

    batches: Sequence[Batch | PreferenceBatch]
    """This rank's micro-batches."""
    tokens: int
    """On all ranks."""
    scored: int
    """Target tokens on all ranks; preferences if those are trained on."""


@dataclass
class Session:
    """One run in memory. Its plan changes if memory runs out; the effective batch never does."""

    folder: RunFolder
    job: Job
    execution: Execution
    report: Report
    data: Prepared
    tokenizer: Any
    loaded: methods.Loaded
    updater: Updater
    progress: RunProgress
    order: Order
    pace: Pace
    journal: Journal
    saved_step: int | None
    """The step of the checkpoint that training resumed from, or that was written last; None if there is none."""
    started: float
    """`time.perf_counter()` at which `progress.seconds` would have been 0."""
    pause_at: int | None = None
    """The run pauses when this step is done; None to train on."""
    last: int | None = None
    """The step that is the last one by command; None for the plan's."""
    watch: Watch | None = None
    """Measures forgetting; None if the plan does not ask for it."""

    def __post_init__(self) -> None:
        self.loss_of: Any = self._loss()
        self._adviser = Adviser(self.plan, self.pace.total, self.folder.name)
        watcher = weakref.proxy(self)  # a cycle would keep the weights of a finished session
        self.journal.on_step = lambda step, value: watcher._stepped(step, value)
        self.journal.spent_usd = lambda: watcher.spent_usd()
        own = weakref.proxy(self)  # a cycle would keep the weights of a finished session until garbage is collected
        self._ahead = Ahead(partial(Session._effective_batch, own), self.pace.total)

    @property
    def plan(self) -> Plan:
        """The settings as they are now."""
        return self.execution.plan

    @property
    def ranks(self) -> Ranks:
        """This process among those of the run."""
        return self.execution.ranks

    @property
    def last_checkpoint(self) -> str:
        """Which checkpoint is there to resume from, as half a sentence."""
        return "there is no checkpoint yet" if self.saved_step is None else f"the one of step {self.saved_step} is good"

    def limit(self) -> Ending | None:
        """What ends the run now, before its next step; None if nothing does."""
        if self.pause_at is not None and self.progress.step >= self.pause_at:
            return Ending("paused")
        return too_much_forgotten(self.progress) or early_stop(self.plan, self.progress) or self._budget_spent()

    def spent_usd(self, seconds: float = 0.0) -> float | None:
        """USD spent once `seconds` more have passed; None if there is no price."""
        price = self.job.predicted.price_usd_per_hour if self.job.predicted else None
        if price is None:
            return None
        return (time.perf_counter() - self.started + seconds) / 3600 * price * self.job.paid_devices

    def _budget_spent(self) -> Ending | None:
        if not self.plan.budget_stop:
            return None
        spent, saved = self.spent_usd(), self.spent_usd(2 * self.pace.save_seconds + self.pace.step_seconds)
        saving = (saved or 0.0) - (spent or 0.0)
        return self.ranks.of_first(budget_spent(self.plan, self.job.budget_usd, spent, saving))

    def finish(self) -> None:
        """Let the next step be the last one, whatever is changed afterwards."""
        self.last = self.pace.total = min(self.pace.total, self.progress.step + 1)

    def change(self, field: str, value: Any) -> None:
        """Change a plan field of the run's own: from the next step on, and after a resume."""
        if field not in CHANGEABLE:
            return
        changed: dict[str, Any] = {field: value}
        self.execution = replace(self.execution, plan=replace(self.plan, **changed))
        self.progress.adjusted |= changed
        if self.ranks.is_first:
            with suppress(OSError):  # the checkpoint has it too
                self.folder.adjust(changed)
        # one more step at least: the last one is evaluated
        total = max(self.progress.step + 1, total_steps(len(self.data.train), self.plan))
        self.pace.follow(self.plan, total if self.last is None else min(self.last, total))
        self._adviser.follow(self.plan, self.pace.total)
        self.journal.likely_cause = likely_cause_of_nan(self.plan)
        own = weakref.proxy(self)
        self._ahead.forget()
        self._ahead = Ahead(partial(Session._effective_batch, own), self.pace.total)
        text = f"{field} is {fields.text(value)} from step {self.progress.step + 1:,} on, as you asked"
        text += self._comes_of_it(field)
        self.report.event(Replanned(step=self.progress.step, changed=changed, text=text))

    def _comes_of_it(self, field: str) -> str:
        """A consequence of a change that is not obvious, as the rest of a sentence; empty if there is none."""
        if field == "max_steps":
            return f": the run ends at step {self.pace.total:,}"
        if field == "early_stopping_patience" and self.plan.early_stopping_patience and not len(self.data.held_out):
            return "; but no row is held out to tell by when to stop"
        return ""

    def _advise(self, found: Iterable[FindingReported]) -> None:
        for finding in found:
            self.report.event(finding)

    def step(self) -> None:
        """One optimizer step."""
        number = self.progress.step
        rate = learning_rate(self.plan, number, self.pace.total)
        effective, mean, norm = self._with_relief(lambda: self._update(number, rate), f"step {number + 1}")
        self.progress.step += 1
        self.progress.tokens += effective.tokens
        self.journal.add(
            StepRecord(
                number=self.progress.step,
                epoch=self.order.epoch(self.progress.step),
                loss=mean,
                norm=norm,
                learning_rate=rate,
                tokens=effective.tokens,
                scored=effective.scored,
            )
        )

    def _update(self, number: int, rate: float) -> tuple[_EffectiveBatch, Tensor, Tensor]:
        found = self._ahead.take(number)
        for _ in range(MOST_OVERFLOWS):
            self.updater.begin(number, rate)
            with self._computing():
                part = forward_backward(self.loss_of, found.batches, self.updater, self.execution, found.scored)
            mean = self.ranks.sum(part)
            norm = self.updater.finish()
            if self.plan.precision != "float16" or torch.isfinite(norm) or not torch.isfinite(mean):
                break
        return found, mean, norm

    def _computing(self) -> AbstractContextManager[None]:
        """Measured for replicas: the devices of a sharded model wait for each other in every layer."""
        return nullcontext() if sharding.is_sharded(self.loaded.network) else self.journal.computing()

    def _effective_batch(self, number: int) -> _EffectiveBatch:
        """The effective batch of a step, arranged by the plan as it is now."""
        rows = [self.data.train[int(i)] for i in self.order.rows_of(number)]
        if self.plan.objective != "sft":
            tokens = sum(len(ids) for row in rows for ids, _ in row.rows)
            return _EffectiveBatch(preference_batches(rows, self.execution), tokens, scored=len(rows))
        return _EffectiveBatch(
            batches=micro_batches(rows, self.execution),
            tokens=sum(len(ids) for ids, _ in rows),
            scored=sum(int(scored[1:].sum()) for _, scored in rows),
        )

    def evaluate(self, broken_off: Callable[[], bool]) -> None:
        """Measure the held-out loss and forgetting, and write sample answers, until `broken_off` returns True."""
        self.journal.flush()
        self._give_back()
        began = time.perf_counter()
        if not self._evaluate(broken_off):
            self.report.say("the evaluation was broken off")
            return
        self._sample()
        self._give_back()
        self.pace.eval_seconds = time.perf_counter() - began
        self.report.phase("train")
        self.journal.resume_clock()

    def _evaluate(self, broken_off: Callable[[], bool]) -> bool:
        """The held-out loss and forgetting; False if broken off. What was forgotten says whether this is the best."""
        value, began = None, time.perf_counter()
        if len(self.data.held_out):
            self.report.phase("eval")
            value = self._with_relief(partial(self._held_out_loss, broken_off), "the evaluation")
            if value is None:
                return False
        seconds = time.perf_counter() - began
        if self.watch and not self.watch.measure(self.execution, broken_off):
            return False
        if value is not None:
            least, may_be_best = self.plan.early_stopping_min_delta, not self.progress.forgot
            self.progress.evaluated(value, least, may_be_best=may_be_best)
            self.report.event(self._evaluated(value, seconds))
            self._advise(self._adviser.evaluated(self.progress.step, value))
        return True

    def _stepped(self, step: int, loss_now: float) -> None:
        self._advise(self._adviser.stepped(step, loss_now))

    def _evaluated(self, loss_now: float, seconds: float) -> Evaluated:
        step = self.progress.step
        if not isinstance(self.loss_of, PreferenceLoss):
            return Evaluated(step=step, loss=loss_now, perplexity=perplexity(loss_now), seconds=seconds)
        margin, right = self.loss_of.rewards() or (None, None)
        return Evaluated(step=step, loss=loss_now, seconds=seconds, reward_margin=margin, reward_accuracy=right)

    def _held_out_loss(self, broken_off: Callable[[], bool]) -> float | None:
        rows = self.data.held_out
        tell = partial(self._tell_rows, len(rows))
        return held_out_loss(self.loaded.network, self.loss_of, rows, self.execution, broken_off, tell)

    def _tell_rows(self, total: int, done: int) -> None:
        self.report.progress("rows", done, total)

    def score(self, broken_off: Callable[[], bool]) -> None:
        """Score the task, if there is one. All ranks call this together."""
        if not self.plan.task or not self.data.questions:
            return
        self.report.phase("task")
        task = Task(self.data.questions, self.tokenizer, task_batch(self.job, self.plan))
        scored = task.score(self.loaded.network, self.execution, self.report, self.progress.step, broken_off)
        self._give_back()
        if scored is not None:
            self.report.event(scored)

    def _sample(self) -> None:
        is_sharded, probes = sharding.is_sharded(self.loaded.network), self.data.probes
        asks = not self.progress.adjusted if is_sharded else self.ranks.is_first  # none after memory ran out
        if not probes or not asks:
            return
        self.report.phase("sample")
        asked = partial(sample.short_answers, self.loaded.network, self.tokenizer, probes, self.execution)
        among = self.ranks if is_sharded else ALONE
        try:
            written = relief.attempt(asked, self.report, self.progress.step, SAMPLING, among)
        except Exception as error:
            if is_sharded:  # all ranks generate together
                raise
            logging.getLogger(quiet.OWN).exception("the sample answers failed")
            self.report.warn(f"no sample answers: {first_line(error)}; training goes on without them")
            return
        if not written:
            self.report.warn("no memory was left for sample answers; training goes on without them")
            return
        for probe, text in zip(probes, written[0], strict=True):
            self.report.event(Sampled(step=self.progress.step, prompt=probe.prompt, text=text, wanted=probe.answer))

    def _give_back(self) -> None:
        """Trim the heap, on a CPU: freed blocks of sizes that don't recur would stay in it beside later allocations."""
        if self.execution.device == "cpu":
            relief.trim_heap()

    def _with_relief(self, action: Callable[[], Value], during: str) -> Value:
        """The result of `action`, which is repeated with the next cheaper setting each time that memory runs out."""
        while True:
            done = relief.attempt(action, self.report, self.progress.step, during, self.ranks)
            if done:
                return done[0]
            self.updater.abandon()
            relief.free()
            self._replan(during)

    def _replan(self, during: str) -> None:
        if set(self.progress.adjusted) <= {"kernels"}:
            self._remember_for_this_box()
        can_chunk = checks.can_chunk(self.loaded.network, self.execution)
        found = relief.cheaper(self.plan, can_chunk=can_chunk, can_offload=self.execution.device != "cpu")
        if found is None:
            fix = would_fit(self.job, self.plan)
            raise NothingLeft(f"memory ran out in {during} with the leanest settings; {fix}")
        self._ahead.forget()
        plan, change = found
        changed = relief.changes(self.plan, plan)
        self.execution = replace(self.execution, plan=plan)
        self.progress.adjusted |= changed
        methods.set_checkpointing(self.loaded.network, self.execution)
        self.loss_of = self._loss()
        text = f"goes on with less memory: {change}"
        self.report.event(Replanned(step=self.progress.step, changed=changed, text=text))

    def _remember_for_this_box(self) -> None:
        """Note what ran out of memory, for later plans on this box to stay below. A full disk does not end the run."""
        with suppress(OSError):
            ran_out.remember(self.job)

    def _loss(self) -> loss.Loss | PreferenceLoss:
        if self.plan.objective != "sft":
            return PreferenceLoss(self.loaded.network, self.execution)
        return loss.chunked(self.loaded.network) if self.plan.chunked_loss else loss.whole(self.loaded.network)


def restored(plan: Plan, progress: RunProgress) -> Plan:
    """The plan with what running out of memory changed before the run was resumed."""
    return replace(plan, **progress.adjusted)  # type: ignore[arg-type]
