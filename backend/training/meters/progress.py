"""How far a run has come, what it cost so far, and how long the rest will take."""

from __future__ import annotations

import math
from dataclasses import dataclass

import msgspec

from backend.plan.counts import eval_interval, save_interval, times_due
from backend.plan.plan import Plan

SMOOTHING = 0.1


class RunProgress(msgspec.Struct):
    """Carried from checkpoint to checkpoint; figures are of the whole run, earlier lives included."""

    step: int = 0
    tokens: int = 0
    """Tokens trained on, padding not counted."""
    seconds: float = 0.0
    """Everything: loading, evaluation, saving."""
    train_seconds: float = 0.0
    """Steps alone."""
    loss: float | None = None
    """Of the last step."""
    eval_before: float | None = None
    eval_loss: float | None = None
    eval_step: int = -1
    best_loss: float | None = None
    best_step: int = -1
    data: str = ""
    """The fingerprint of the data: a step's rows are the same only while it stays."""
    adjusted: dict[str, int | bool | str] = {}
    """Plan fields that running out of memory has changed."""

    def evaluated(self, loss: float) -> None:
        """A held-out loss was taken at this step."""
        self.eval_loss, self.eval_step = loss, self.step
        if self.step == 0:
            self.eval_before = loss
        if math.isfinite(loss) and (self.best_loss is None or loss < self.best_loss):
            self.best_loss, self.best_step = loss, self.step


@dataclass
class Pace:
    """Seconds that things take, as far as they were seen."""

    eval_every: int
    save_every: int
    total: int
    step_seconds: float = 0.0
    eval_seconds: float = 0.0
    save_seconds: float = 0.0

    @classmethod
    def of(cls, plan: Plan, total: int) -> Pace:
        """The intervals of `plan` in a run of `total` steps."""
        return cls(eval_interval(plan, total), save_interval(plan, total), total)

    def stepped(self, seconds: float) -> None:
        """A step took `seconds`; the first one counts whole, later ones are smoothed."""
        share = SMOOTHING if self.step_seconds else 1.0
        self.step_seconds += share * (seconds - self.step_seconds)

    def eta_seconds(self, step: int) -> float:
        """Seconds from `step` to the end, with the evaluations and savings still to come and the result."""
        evals = times_due(self.eval_every, step, self.total) * self.eval_seconds
        saves = (times_due(self.save_every, step, self.total) + 1) * self.save_seconds
        return (self.total - step) * self.step_seconds + evals + saves

    def evaluates(self, step: int) -> bool:
        """An evaluation is due after `step`."""
        return step % self.eval_every == 0 or step == self.total

    def saves(self, step: int) -> bool:
        """A checkpoint is due after `step`."""
        return step % self.save_every == 0 or step == self.total
