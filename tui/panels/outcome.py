"""Predicted and measured: how far the figures shown before the start were off."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from backend import units
from backend.run.history import History
from tui.panels.lines import Row
from tui.panels.memory import predicted_peak
from tui.panels.panel import Panel
from tui.plain import plain

_GOOD, _USUAL = 0.10, 0.25
"""What is worse than predicted by up to these parts is drawn as good and as usual."""


@dataclass(frozen=True)
class Figure:
    """One predicted and measured quantity; None where it is not known."""

    name: str
    predicted: float | None
    measured: float | None
    shown: Callable[[float], str]

    comparable: bool = True
    """False for a whole run's figure where the run did not get to its end."""
    more_is_better: bool = False
    unknown: str = "-"
    """What stands for None."""

    @property
    def error(self) -> float | None:
        """Measured over predicted, less one."""
        if not self.comparable:
            return None
        return self.measured / self.predicted - 1 if self.predicted and self.measured is not None else None

    @property
    def is_better(self) -> bool:
        """Better than predicted: less memory, time or money, or more speed."""
        return self.error is not None and (self.error > 0) == self.more_is_better

    def words(self) -> tuple[str, str]:
        """Predicted and measured as they are shown."""
        return self._words(self.predicted), self._words(self.measured)

    def _words(self, value: float | None) -> str:
        return self.unknown if value is None else self.shown(value)


def figures(history: History) -> list[Figure]:
    """Peak memory, seconds and USD of the whole run that has ended, and the mean tokens/s of its training steps."""
    predicted = history.predicted
    seconds = _seconds(history)
    price, hours = predicted.price_usd_per_hour, predicted.hours
    priceless = "-" if price is not None else "no price"
    paid = seconds / 3600 * price if seconds is not None and price is not None else None
    rate = history.finished.tokens_per_second if history.finished else None
    return [
        Figure("peak", predicted_peak(history) or None, history.peak_bytes or None, units.memory),
        Figure("time", hours * 3600 if hours else None, seconds, units.duration, history.state == "done"),
        Figure("cost", predicted.cost_usd, paid, units.usd, history.state == "done", unknown=priceless),
        Figure("tokens/s", predicted.tokens_per_second, rate, units.rate, more_is_better=True),
    ]


def phases(history: History) -> list[Figure]:
    """The peak of each phase that was predicted, in the order they came; empty until the run has ended."""
    predicted = history.predicted.phases
    return [
        Figure(name, predicted[name], phase.peak_bytes or None, units.memory)
        for name, phase in history.measured.phases.items()
        if name in predicted
    ]


def lesson(history: History) -> str:
    """What the run is for the next prediction, in a few words; empty until the run has ended."""
    event = history.calibration
    if event is None:
        return ""
    if event.kept:
        return "corrects the next prediction here"
    return f"corrects no prediction: {event.reason or 'no figures'}"


def losses(history: History) -> tuple[float, float] | None:
    """Held-out loss before and after; the training loss's first and last where nothing was held out."""
    if len(history.evaluations) > 1:
        return history.evaluations[0].loss, history.evaluations[-1].loss
    return (history.losses[0], history.losses[-1]) if len(history.losses) > 1 else None


def _seconds(history: History) -> float | None:
    """What the run took, earlier lives included; by the clock where the trainer did not say."""
    if history.finished is None:
        return None
    if history.finished.seconds is None and history.started.t:
        return history.finished.t - history.started.t
    return history.finished.seconds


class Outcome(Panel):
    """A table with the error in percent, and what became of the loss."""

    TITLE = "Predicted, measured"
    KEY = "2"

    def body(self, width: int, height: int) -> Iterable[Row]:
        """A line a figure; the phases, and what earlier runs corrected, where there is room."""
        column = max(8, (width - 9 - 8) // 2)
        head = (f"{'':<9}{'foreseen':>{column}}{'measured':>{column}}{'off':>8}", "faint")
        rows: list[Row] = [(head,), *(_figure(figure, column) for figure in figures(self.history)), (), *self._losses()]
        said = lesson(self.history)
        rows += [((plain(said, lines=False), "faint"),)] if said else []
        more = self._more(column)
        return [*rows, *more] if len(rows) + len(more) <= height else rows

    def _more(self, column: int) -> list[Row]:
        """What the figures cover, peaks by phase, and how many earlier runs the predicted figures come from."""
        runs = self.history.predicted.corrected_by_runs
        before: Row = ((f"predicted with {runs} run{'' if runs == 1 else 's'} of this box", "faint"),)
        peaks = [_figure(replace(x, name=f"  {plain(x.name, lines=False)}"), column) for x in phases(self.history)]
        covers: Row = (("time: whole run; tokens/s: training steps", "faint"),)
        head: list[Row] = [(), (("peak of each phase", "faint"),)]
        return [covers, *([before] if runs else []), *([*head, *peaks] if peaks else [])]

    def _losses(self) -> list[Row]:
        both = losses(self.history)
        if both is None:
            return []
        before, after = both
        what = "held-out loss " if len(self.history.evaluations) > 1 else "training loss "
        change = after / before - 1 if before else 0.0
        style, sign = ("good", "▼") if change <= 0 else ("warn", "▲")
        row: Row = ((what, "faint"), (f"{before:.3f} → ", ""), (f"{after:.3f}", "strong"))
        return [(*row, (f"  {sign} {abs(change) * 100:.0f} %", style))]


def _signed(part: float) -> str:
    """`+6 %`, with a minus as wide as the plus."""
    return f"{'−' if part < 0 else '+'}{abs(part) * 100:.0f} %"


def _figure(figure: Figure, column: int) -> Row:
    """A line; what is worse than predicted is coloured by how far it is off."""
    predicted, measured = figure.words()
    row: Row = ((f"{figure.name:<9}", "faint"), (f"{predicted:>{column}}", ""), (f"{measured:>{column}}", "strong"))
    if figure.error is None:
        return row
    off = abs(figure.error)
    style = "good" if figure.is_better or off <= _GOOD else "warn" if off <= _USUAL else "bad"
    return (*row, (f"{_signed(figure.error):>8}", style))
