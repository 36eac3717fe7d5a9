"""How far a run is, what it took so far, and how long the rest will take."""

from __future__ import annotations

import math
from dataclasses import dataclass

import msgspec

from backend.plan.counts import eval_interval, save_interval, times_due
from backend.plan.plan import Plan

SMOOTHING = 0.1


class RunProgress(msgspec.Struct):
    """Saved in every checkpoint. Figures cover the whole run, including the time before it was resumed."""

    step: int = 0
    tokens: int = 0
    """Tokens trained on, padding not counted."""
    seconds: float = 0.0
    """All time, with loading, evaluation and saving."""
    train_seconds: float = 0.0
    """Steps alone."""
    loss: float | None = None
    """Training loss of the last step."""
    eval_before: float | None = None
    eval_loss: float | None = None
    eval_step: int = -1
    best_loss: float | None = None
    best_step: int = -1
    """The step of the lowest held-out loss since training began; -1 before there is one."""
    stale_evaluations: int = 0
    """Evaluations in a row that did not lower it (see early_stopping_patience)."""
    forgot: str = ""
    """Why max_forgetting ends the run; empty if it does not."""
    data: str = ""
    """The fingerprint of the data: if it changes, the steps would train on other rows."""
    validation: str | None = None
    """The fingerprint of a separate validation split; empty if there is none, None if it was not kept."""
    adjusted: dict[str, int | bool | float | str] = {}
    """Plan fields that running out of memory has changed."""

    def evaluated(self, loss: float, min_delta: float = 0.0, *, may_be_best: bool = True) -> bool:
        """Note the held-out loss of this step; True if it is the lowest of those that may be the best.

        The loss before training is what the first evaluations have to improve on, but it is never the best.
        """
        self.eval_loss, self.eval_step = loss, self.step
        if self.step == 0:
            self.eval_before = loss
            return False
        reference = self.eval_before if self.best_loss is None else self.best_loss
        improved = math.isfinite(loss) and (reference is None or loss < reference - min_delta)
        self.stale_evaluations = 0 if improved else self.stale_evaluations + 1
        is_best = may_be_best and math.isfinite(loss) and (self.best_loss is None or loss < self.best_loss)
        if is_best:
            self.best_loss, self.best_step = loss, self.step
        return is_best


@dataclass
class Pace:
    """How many seconds steps, evaluations and checkpoints take, as measured so far."""

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

    def follow(self, plan: Plan, total: int) -> None:
        """Settings have changed: other intervals, or another last step. What was measured stays."""
        self.eval_every, self.save_every, self.total = eval_interval(plan, total), save_interval(plan, total), total

    def stepped(self, seconds: float) -> None:
        """A step took `seconds`: an exponential moving average, which starts at the first step's."""
        share = SMOOTHING if self.step_seconds else 1.0
        self.step_seconds += share * (seconds - self.step_seconds)

    def eta_seconds(self, step: int) -> float:
        """Seconds from `step` to the end, with the evaluations, checkpoints and the result that are still to come."""
        evals = times_due(self.eval_every, step, self.total) * self.eval_seconds
        saves = (times_due(self.save_every, step, self.total) + 1) * self.save_seconds
        return (self.total - step) * self.step_seconds + evals + saves

    def evaluates(self, step: int) -> bool:
        """An evaluation is due after `step`."""
        return step % self.eval_every == 0 or step == self.total

    def saves(self, step: int) -> bool:
        """A checkpoint is due after `step`."""
        return step % self.save_every == 0 or step == self.total
