"""Everything one run holds while it trains, and the few things done with it: step, judge, save."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import torch
from torch import Tensor

from backend.data.prepare import Prepared
from backend.errors import TrainingFailed
from backend.measured import ran_out
from backend.plan.job import Job
from backend.plan.plan import Plan
from backend.run.events import CheckpointSaved, Evaluated, Replanned, Sampled
from backend.run.folder import RunFolder
from backend.training import checks, loss, methods, relief, rng
from backend.training.advice import would_fit
from backend.training.ahead import Ahead
from backend.training.batches import Batch, micro_batches
from backend.training.evaluate import held_out_loss, perplexity
from backend.training.journal import Journal, StepRecord
from backend.training.meters.progress import Pace, RunProgress
from backend.training.optim.optimizers import Updater
from backend.training.order import Order
from backend.training.parallel import sharding
from backend.training.parallel.ranks import ALONE, Ranks
from backend.training.report import Report
from backend.training.sample import answer
from backend.training.saving import checkpoint, result
from backend.training.saving.disk import DiskFull
from backend.training.schedule import learning_rate
from backend.training.step import forward_backward

Value = TypeVar("Value")
SAMPLING, CHECKPOINTING, SAVING = "the sample answer", "the checkpoint", "saving the result"
"""What memory may run out in beside steps and evaluations."""
MOST_OVERFLOWS = 16
"""Times that a float16 step is done again with half the loss scale."""


class NothingLeft(TrainingFailed):
    """Out of memory with the leanest settings."""


@dataclass(frozen=True)
class _Effective:
    """One step's rows."""

    batches: list[Batch]
    """This rank's micro-batches."""
    tokens: int
    """Of all ranks."""
    scored: int
    """Tokens that the loss counts, of all ranks."""


@dataclass
class Session:
    """One run in memory. `plan` changes where memory runs out; the effective batch never does."""

    folder: RunFolder
    job: Job
    plan: Plan
    report: Report
    data: Prepared
    tokenizer: Any
    loaded: methods.Loaded
    updater: Updater
    progress: RunProgress
    order: Order
    pace: Pace
    journal: Journal
    packs: bool
    """Rows may share a sequence in this model."""
    ranks: Ranks
    saved_step: int | None
    """The step of the checkpoint that training goes on from, or that was written last."""
    started: float
    """`time.perf_counter()` at which `progress.seconds` would have been 0."""

    def __post_init__(self) -> None:
        self.loss_of: loss.Loss = self._loss()
        own = weakref.proxy(self)  # or a session that is over would keep its weights until garbage is collected
        self._ahead = Ahead(partial(Session._effective, own), self.pace.total)

    @property
    def device(self) -> str:
        """`cuda` or `cpu`."""
        return self.job.device

    @property
    def flat(self) -> bool:
        """Flash attention wants the sequences of a micro-batch one behind the other."""
        return self.packs and self.plan.attention == "flash_attention_2"

    @property
    def last_checkpoint(self) -> str:
        """What is there to go on from, as half a sentence."""
        return "there is no checkpoint yet" if self.saved_step is None else f"the one of step {self.saved_step} is good"

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

    def _update(self, number: int, rate: float) -> tuple[_Effective, Tensor, Tensor]:
        found = self._ahead.take(number)
        for _ in range(MOST_OVERFLOWS):
            self.updater.begin(number, rate)
            part = forward_backward(self.loss_of, found.batches, self.updater, self.plan, self.device, found.scored)
            mean = self.ranks.sum(part)
            norm = self.updater.finish()
            if self.plan.precision != "float16" or torch.isfinite(norm) or not torch.isfinite(mean):
                break
        return found, mean, norm

    def _effective(self, number: int) -> _Effective:
        """The effective batch of a step, arranged as the plan is now."""
        rows = [self.data.train[int(i)] for i in self.order.rows_of(number)]
        return _Effective(
            batches=micro_batches(rows, self.plan, self.device, flat=self.flat, ranks=self.ranks),
            tokens=sum(len(ids) for ids, _ in rows),
            scored=sum(int(scored[1:].sum()) for _, scored in rows),
        )

    def evaluate(self, broken_off: Callable[[], bool]) -> None:
        """Held-out loss, and one answer for the eye; neither where `broken_off` says so on the way."""
        self.journal.flush()
        began = time.perf_counter()
        if len(self.data.held_out):
            self.report.phase("eval")
            value = self._with_relief(partial(self._held_out_loss, broken_off), "the evaluation")
            if value is None:
                self.report.say("the evaluation was broken off")
                return
            self.progress.evaluated(value)
            seconds = time.perf_counter() - began
            self.report.event(
                Evaluated(step=self.progress.step, loss=value, perplexity=perplexity(value), seconds=seconds)
            )
        self._sample()
        self.pace.eval_seconds = time.perf_counter() - began
        self.report.phase("train")
        self.journal.resume_clock()

    def _held_out_loss(self, broken_off: Callable[[], bool]) -> float | None:
        return held_out_loss(
            self.loaded.network,
            self.loss_of,
            self.data.held_out,
            self.plan,
            self.device,
            broken_off,
            flat=self.flat,
            ranks=self.ranks,
        )

    def _sample(self) -> None:
        is_sharded = sharding.is_sharded(self.loaded.network)
        asks = not self.progress.adjusted if is_sharded else self.ranks.is_first  # one that ran out of memory: no more
        if not self.data.probes or not asks:
            return
        self.report.phase("sample")
        probe = self.data.probes[0]
        asked = partial(answer, self.loaded.network, self.tokenizer, probe.ids, self.plan, self.device)
        among = self.ranks if is_sharded else ALONE
        written = relief.attempt(asked, self.report, self.progress.step, SAMPLING, among)
        if not written:
            self.report.warn("no memory was left for a sample answer; training goes on without it")
            return
        (text,) = written
        self.report.event(Sampled(step=self.progress.step, prompt=probe.prompt, text=text, wanted=probe.answer))

    def save(self) -> bool:
        """Write a checkpoint of this step, unless it is there already; False where memory did not suffice."""
        self.journal.flush()
        done = self.saved_step == self.progress.step or bool(
            relief.twice(self._write_checkpoint, self.report, self.progress.step, CHECKPOINTING, self.ranks)
        )
        if not done:
            number = self.progress.step
            self.report.warn(f"no memory was left to write the checkpoint of step {number}; {self.last_checkpoint}")
        self.report.phase("train")
        self.journal.resume_clock()
        return done

    def _write_checkpoint(self) -> None:
        self.report.phase("checkpoint")
        began = time.perf_counter()
        self.progress.seconds = began - self.started
        folder, step, ranks = self.folder.checkpoints, self.progress.step, self.ranks
        weights, state = self.loaded.weights(ranks), self._state()
        if not ranks.is_first:
            with checkpoint.own_part(folder, step, ranks.rank):
                self._together(lambda: checkpoint.write_part(folder, step, ranks.rank, state))
                self._together(lambda: None)
        else:
            evaluated = self.progress.eval_loss if self.progress.eval_step == step else None
            self._together(lambda: None)
            written = self._together(lambda: checkpoint.write(folder, step, weights, state, evaluated, ranks.count))
            checkpoint.prune(folder, self.plan.keep_checkpoints)
            self.report.event(CheckpointSaved(path=str(written.path), step=step, bytes=written.bytes))
        self.saved_step = step
        self.pace.save_seconds = time.perf_counter() - began

    def _state(self) -> dict[str, Any]:
        """What the next step depends on. Copies of the weights have the same optimizer: the first rank's is kept."""
        state = {"rng": rng.capture(), "progress": msgspec.to_builtins(self.progress)}
        if self.ranks.is_first or sharding.is_sharded(self.loaded.network):
            state["updater"] = self.updater.state_dict()
        return state

    def _together(self, action: Callable[[], Value]) -> Value:
        """`action`, of which all ranks fail where the disk is too full for one of them."""
        lacking = 0
        try:
            done = action()
        except DiskFull as full:
            lacking = full.needed_bytes
        if lacking := max(self.ranks.all_of(lacking)):
            raise DiskFull(self.folder.checkpoints, lacking)
        return done

    def write_result(self) -> tuple[str, int]:
        """Save the adapter or model, and copy it where the user wants it; where it lies, and its bytes."""
        self.report.phase("save")
        write = partial(result.write, self.loaded, self.tokenizer, self.plan, self.folder.result, self.ranks)
        done = relief.twice(write, self.report, self.progress.step, SAVING, self.ranks)
        if not done:
            raise TrainingFailed(
                f"memory ran out while the result was saved; of the checkpoints {self.last_checkpoint}: "
                "free some memory and resume the run"
            )
        return str(self._copied() if self.ranks.is_first else self.folder.result), done[0]

    def _copied(self) -> Path:
        """Where the result lies: it is no worse for a copy that can't be made."""
        output, own = self.job.output, self.folder.result
        if not output:
            return own
        try:
            return result.copy(own, output)
        except OSError as error:
            self.report.warn(f"the result could not be copied to {output} ({error}); it lies in {own}")
            return own

    def _with_relief(self, action: Callable[[], Value], during: str) -> Value:
        """Do it; where memory runs out, choose the next cheaper setting and do it again from its start."""
        while True:
            done = relief.attempt(action, self.report, self.progress.step, during, self.ranks)
            if done:
                return done[0]
            self.updater.abandon()
            relief.free()
            self._replan(during)

    def _replan(self, during: str) -> None:
        if not self.progress.adjusted:
            self._remember_for_this_box()
        can_chunk = checks.can_chunk(self.loaded.network, self.plan, self.device)
        found = relief.cheaper(self.plan, can_chunk=can_chunk, can_offload=self.device != "cpu")
        if found is None:
            fix = would_fit(self.job, self.plan)
            raise NothingLeft(f"memory ran out in {during} with the leanest settings; {fix}")
        self._ahead.forget()
        before, (self.plan, change) = self.plan, found
        changed = relief.changes(before, self.plan)
        self.progress.adjusted |= changed
        methods.set_checkpointing(self.loaded.network, self.plan, self.device)
        self.loss_of = self._loss()
        text = f"goes on with less memory: {change}"
        self.report.event(Replanned(step=self.progress.step, changed=changed, text=text))

    def _remember_for_this_box(self) -> None:
        """The plan that ran out bounds later ones here; a full disk is no reason to end the run."""
        with suppress(OSError):
            ran_out.remember(self.job)

    def _loss(self) -> loss.Loss:
        return loss.chunked(self.loaded.network) if self.plan.chunked_loss else loss.whole(self.loaded.network)


def restored(plan: Plan, progress: RunProgress) -> Plan:
    """The plan with what running out of memory changed in an earlier life of the run."""
    return replace(plan, **progress.adjusted)  # type: ignore[arg-type]
