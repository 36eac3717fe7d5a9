"""One line that answers "is it fine?": a verdict, what comes next, what is safe, what it costs, how fast it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple

from backend import units
from backend.plan import counts
from backend.plan.plan import Plan
from backend.run import forgetting
from backend.run.history import History
from tui.panels import words
from tui.panels.gpu import MUCH_SLOWER, slowest
from tui.panels.lines import PAD, Lines, Row
from tui.panels.panel import Clock, row_width

_RECENT = 50
"""Number of steps that the mean speed is taken over."""
_SLOW = 0.75
"""Fraction of the predicted speed below which a run is called slow."""
_SILENT_SECONDS, _SILENT_STEPS = 30.0, 10.0
"""A run is silent if there was no step for this many seconds, and for this many times a step's time."""
_RISES = 2
"""Evaluations in a row, each worse than the one before: the model overfits, or the learning rate is too high."""
_MUCH_WAITING = 2 * MUCH_SLOWER
_FULL = 0.97
"""Fraction of the card's memory in use from which the next long row may run out of memory."""

_WIDE = 110
"""Columns from which words are written in full."""


class Verdict(NamedTuple):
    """A few words; `style` is `good`, or `warn` for what needs a look."""

    text: str
    style: str = "warn"


FINE = Verdict("fine", "good")


def verdict(past: History, now: float) -> Verdict:
    """The first problem of a run that is training."""
    return next((Verdict(text) for check in _CHECKS for text in check(past, now)), FINE)


def _not_finite(past: History, _now: float) -> Iterator[str]:
    if past.step and past.last_step.loss is None:
        yield "loss not finite, step skipped"


def _silent(past: History, now: float) -> Iterator[str]:
    if past.phase != "train" or not past.step:
        return
    waited = now - max(past.last_step.t, past.phase_since)
    if waited > max(_SILENT_SECONDS, _SILENT_STEPS * (past.last_step.step_seconds or 0.0)):
        yield f"no step for {units.duration(waited)}"


def _rising(past: History, _now: float) -> Iterator[str]:
    losses = [seen.loss for seen in past.evaluations[-_RISES - 1 :]]
    if len(losses) > _RISES and all(later > earlier for earlier, later in pairwise(losses)):
        yield "held-out loss rises"


def _advised(past: History, _now: float) -> Iterator[str]:
    if past.is_advised:
        yield "advice in the log"


def _over_budget(past: History, now: float) -> Iterator[str]:
    budget, so_far = past.predicted.budget_usd, past.cost_so_far(now)
    if budget is None or so_far is None or not past.predicted.price_usd_per_hour:
        return
    whole = so_far + (past.eta_seconds or 0.0) / 3600 * past.predicted.price_usd_per_hour * past.devices
    if whole > budget:
        yield f"will cost {units.usd(whole)} of {units.usd(budget)}"


def _nearly_full(past: History, _now: float) -> Iterator[str]:
    seen = past.memory
    if seen.kind == "cuda" and seen.device_bytes and seen.reserved_bytes > _FULL * seen.device_bytes:
        yield "memory nearly full"


def _slow(past: History, _now: float) -> Iterator[str]:
    if (part := speed(past)) is not None and part < _SLOW:
        yield f"slow: {1 - part:.0%} below predicted"


def _waits(past: History, _now: float) -> Iterator[str]:
    found = slowest(past)
    if found is not None and found[1] >= _MUCH_WAITING:
        yield f"device {found[0]} is {found[1]:.0%} slower than the others"


def speed(past: History) -> float | None:
    """Mean speed of the last steps as a part of the predicted one; None if either is not known."""
    recent, predicted = past.tokens_per_second.values[-_RECENT:], past.predicted.tokens_per_second
    return sum(recent) / len(recent) / predicted if recent and predicted else None


def parts(past: History, now: float, *, wide: bool) -> Iterator[Row]:
    """What follows the verdict, the most important first; `wide` for whole words."""
    if past.phase not in ("train", "waiting"):
        yield ((words.phase_and_progress(past), ""),)
    elif (steps := to_evaluation(past)) is not None:
        count, unit = units.counted(steps, "step").split(" ")
        yield (("next evaluation in " if wide else "eval in ", "faint"), (count, ""), (f" {unit}", "faint"))
    yield _saved(past, now, wide=wide)
    if (cost := past.cost_so_far(now)) is not None:
        yield _cost(past, cost)
    if (part := speed(past)) is not None and not any(_slow(past, now)):  # the verdict says it already, or a worse one
        yield (("speed ", "faint"), (f"{'+' if part >= 1 else '−'}{abs(part - 1):.0%}", ""))
    if measured := forgetting.latest(past.forgetting):
        yield (("forgetting ", "faint"), (forgetting.verdict(measured), ""))


def _saved(past: History, now: float, *, wide: bool) -> Row:
    if not past.checkpoints:
        return (("no checkpoint yet", "faint"),)
    last = past.checkpoints[-1]
    age = " ".join(units.duration(max(0.0, now - last.t)).split(" ")[:2])
    what, at = ("last checkpoint ", f" at step {last.step:,}") if wide else ("saved ", "")
    return ((what, "faint"), (age, ""), (f" ago{at}", "faint"))


def _cost(past: History, cost: float) -> Row:
    budget = past.predicted.budget_usd
    of = f" of {units.usd(budget)}" if budget is not None else " so far"
    return ((units.usd(round(cost, 2)), ""), (of, "faint"))


_CHECKS: tuple[Callable[[History, float], Iterator[str]], ...] = (
    *(_not_finite, _silent, _rising, _over_budget, _advised, _nearly_full, _slow, _waits),
)


def to_evaluation(past: History) -> int | None:
    """Steps to the next evaluation; None if no rows are held out or the run has no total yet."""
    total, every = past.total_steps, past.started.plan.get("eval_every")
    if not total or not past.evaluations:
        return None
    interval = counts.eval_interval(Plan(eval_every=every if isinstance(every, int) else 0), total)
    return min(interval - past.step % interval, total - past.step)


class HealthLine(Lines):
    """Below the header; as many parts as there is room for."""

    def __init__(self, history: History, clock: Clock = time.time, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.history = history
        self.clock = clock

    def feed(self, history: History) -> None:
        """Draw what `history` holds now."""
        self.history = history
        self.redraw()

    def on_resize(self) -> None:
        """Draw for the new size."""
        self.redraw()

    def redraw(self) -> None:
        """The line; empty before the first step and after the last."""
        past, now, width = self.history, self.clock(), self.size.width
        if width < 20 or past.finished or not past.step:
            self.set_rows([((" " * width, PAD),)])
            return
        said = verdict(past, now)
        row: Row = ((" ", ""), (f"{'✓' if said is FINE else '!'} {said.text}", said.style))
        for part in parts(past, now, wide=width >= _WIDE):
            if row_width(row) + row_width(part) + 3 < width:
                row = (*row, (" · ", "faint"), *part)
        self.set_rows([row])
