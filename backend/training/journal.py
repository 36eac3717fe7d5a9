"""The `step` events. Figures stay on the device for about a second: one transfer for several steps."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from backend.errors import TrainingFailed
from backend.plan.plan import Plan
from backend.run.events import DevicesTimed, StepDone
from backend.training.meters.busy import Busy
from backend.training.meters.progress import Pace, RunProgress
from backend.training.parallel.ranks import ALONE, Ranks
from backend.training.report import Report

SECONDS = 1.0
MOST_SKIPPED = 5


@dataclass(frozen=True)
class StepRecord:
    """The figures of one step; `loss` and `norm` are still on the device."""

    number: int
    epoch: float
    loss: Tensor
    norm: Tensor
    learning_rate: float
    tokens: int
    scored: int


class SkippedTooOften(TrainingFailed):
    """Several steps in a row had a loss or gradient that is not finite."""


class Journal:
    """Collects steps and writes them, at once on a CPU, about every second on a GPU."""

    def __init__(
        self, report: Report, progress: RunProgress, pace: Pace, device: str, likely_cause: str, ranks: Ranks = ALONE
    ) -> None:
        self._report = report
        self._progress = progress
        self._pace = pace
        self.likely_cause = likely_cause
        self._ranks = ranks
        self._wait = 0.0 if device == "cpu" else SECONDS
        self._busy = Busy(device) if ranks.count > 1 else None
        self._steps: list[StepRecord] = []
        self._since = time.perf_counter()
        self._skipped = 0
        self.on_step: Callable[[int, float], None] = lambda step, loss: None
        """Called with each finite loss."""
        self.spent_usd: Callable[[], float | None] = lambda: None
        """USD spent so far."""

    def resume_clock(self) -> None:
        """Count time as step time from here on (it was spent on something else before)."""
        self._since = time.perf_counter()

    def computing(self) -> AbstractContextManager[None]:
        """The part of a step in which this device computes and waits for no other."""
        return self._busy.stretch() if self._busy else nullcontext()

    def add(self, step: StepRecord) -> None:
        """Note a step; it is written now if enough time has passed. Raises SkippedTooOften."""
        self._steps.append(step)
        if self._ranks.of_first(time.perf_counter() - self._since >= self._wait):  # all together, or one raises first
            self.flush()

    def flush(self) -> None:
        """Write what was collected. Raises SkippedTooOften."""
        if not self._steps:
            return
        steps, self._steps = self._steps, []
        figures = torch.stack([torch.stack([x.loss, x.norm]).float() for x in steps]).tolist()  # waits for the device
        now = time.perf_counter()
        seconds, self._since = (now - self._since) / len(steps), now
        self._progress.train_seconds += seconds * len(steps)
        if self._busy and self._busy.is_used:
            busy = self._ranks.all_of(self._busy.take() / len(steps))
            self._report.event(DevicesTimed(step=steps[-1].number, busy_seconds=[round(x, 6) for x in busy]))
        for step, (loss, norm) in zip(steps, figures, strict=True):
            self._pace.stepped(seconds)
            self._write(step, loss, norm, seconds)

    def _write(self, step: StepRecord, loss: float, norm: float, seconds: float) -> None:
        finite = math.isfinite(loss) and math.isfinite(norm)
        self._report.event(
            StepDone(
                step=step.number,
                total_steps=self._pace.total,
                epoch=round(step.epoch, 4),
                loss=loss if finite else None,
                learning_rate=step.learning_rate,
                grad_norm=norm if finite else None,
                tokens=step.tokens,
                scored_tokens=step.scored,
                tokens_per_second=step.tokens / seconds,
                step_seconds=seconds,
                eta_seconds=self._pace.eta_seconds(step.number),
                spent_usd=self.spent_usd(),
            )
        )
        self._skipped = 0 if finite else self._skipped + 1
        if finite:
            self._progress.loss = loss
            self.on_step(step.number, loss)
            return
        self._report.warn(f"step {step.number} was skipped: its {_what(loss)} is not finite")
        if self._skipped >= MOST_SKIPPED:
            raise SkippedTooOften(
                f"{MOST_SKIPPED} steps in a row had a {_what(loss)} that is not finite: {self.likely_cause}"
            )


def likely_cause_of_nan(plan: Plan) -> str:
    """Why losses or gradients are not finite, by the settings; and what helps."""
    if plan.precision == "float16":
        return "float16's range is probably too small for this model; choose bfloat16 or float32"
    return f"the learning rate of {plan.learning_rate:g} is probably too high; try a third of it"


def _what(loss: float) -> str:
    return "gradient" if math.isfinite(loss) else "loss"
