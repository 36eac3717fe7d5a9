"""Watches the losses of a run and says, once each, what looks wrong, with the evidence and what helps."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from backend import constants
from backend.plan.plan import Plan
from backend.run.events import FindingReported


class Evaluation(NamedTuple):
    """A held-out loss, and the average training loss at that step (None before the first)."""

    step: int
    loss: float
    training: float | None


class Adviser:
    """Fed by steps and evaluations, in their order."""

    def __init__(self, plan: Plan, total: int, run: str) -> None:
        self._plan, self._total, self._run = plan, total, run
        self._average: float | None = None
        self._lowest, self._lowest_step = math.inf, 0
        self._seen = self._rising = 0
        self._evaluations: list[Evaluation] = []
        self._said: set[str] = set()

    def follow(self, plan: Plan, total: int) -> None:
        """Settings have changed, or the number of the last step."""
        self._plan, self._total = plan, total

    def stepped(self, step: int, loss: float) -> Iterator[FindingReported]:
        """After a step with a finite `loss`."""
        table = constants.adviser()
        self._seen += 1
        old = loss if self._average is None else self._average
        self._average = old + table.smoothing * (loss - old)
        if self._average < self._lowest:
            self._lowest, self._lowest_step = self._average, step
        warm = self._plan.warmup_fraction * self._total
        is_high = self._average > table.diverges.rise * self._lowest and step > warm
        self._rising = self._rising + 1 if is_high else 0
        if self._seen >= table.least_steps and self._rising >= table.diverges.steps:
            text = f"The training loss has risen from {self._lowest:.3f} at step {self._lowest_step:,} to "
            text += f"{self._average:.3f}: the run diverges."
            yield from self._once("diverges", text, self._rate(1 / 3))

    def evaluated(self, step: int, loss: float) -> Iterator[FindingReported]:
        """After an evaluation."""
        if not math.isfinite(loss):
            return
        self._evaluations.append(Evaluation(step, loss, self._average))
        if self._seen < constants.adviser().least_steps:
            return
        for check in (self._overfits, self._slow, self._plateau):
            found = list(check())
            yield from found
            if found:
                return

    def _overfits(self) -> Iterator[FindingReported]:
        table = constants.adviser().overfits
        best = min(self._evaluations[1:], key=lambda x: x.loss, default=None)
        last = self._evaluations[-table.evaluations - 1 :]
        if best is None or len(last) <= table.evaluations:
            return
        rises = all(one.loss < other.loss for one, other in pairwise(last))
        training = [x.training for x in (best, last[-1]) if x.training is not None]
        if rises and last[-1].loss > (1 + table.rise) * best.loss and len(training) == 2 and training[1] < training[0]:
            text = (
                f"The held-out loss has risen from {best.loss:.3f} at step {best.step:,} to {last[-1].loss:.3f}, while "
                f"the training loss fell from {training[0]:.3f} to {training[1]:.3f}: it learns the rows by heart."
            )
            best_kept = ": the weights of that step are what is saved" if self._plan.keep == "best" else ""
            yield from self._once("overfits", text, f"fttui stop {self._run}{best_kept}")

    def _slow(self) -> Iterator[FindingReported]:
        table = constants.adviser().slow
        first, last = self._evaluations[0], self._evaluations[-1]
        fall = 1 - last.loss / first.loss if first.loss else 0.0
        if first.step == 0 and last.step >= table.part * self._total and 0 <= fall < table.fall:
            text = (
                f"After {last.step:,} of {self._total:,} steps the held-out loss has fallen by {100 * fall:.1f} % only "
                f"({first.loss:.3f} to {last.loss:.3f}): the learning rate of {self._plan.learning_rate:g} is probably "
                "too low."
            )
            yield from self._once("slow", text, self._rate(3))

    def _plateau(self) -> Iterator[FindingReported]:
        table = constants.adviser().plateau
        last = self._evaluations[-table.evaluations - 1 :]
        if len(last) <= table.evaluations or last[0].step == 0:
            return
        fall = 1 - min(x.loss for x in last[1:]) / last[0].loss
        if 0 <= fall < table.fall and last[-1].step < self._total:
            fell = f"The held-out loss has fallen by {100 * fall:.2f} % since step {last[0].step:,}"
            fix = f"fttui stop {self._run}, or --set early_stopping_patience=3 next time"
            yield from self._once("plateau", f"{fell}: more steps bring little.", fix)

    def _once(self, kind: str, text: str, fix: str) -> Iterator[FindingReported]:
        if kind not in self._said:
            self._said.add(kind)
            yield FindingReported(severity="warns", about="run", text=text, fix=fix)

    def _rate(self, times: float) -> str:
        return f"fttui change {self._run} --set learning_rate={self._plan.learning_rate * times:.2g}"
