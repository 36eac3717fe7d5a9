"""Predicted and measured: the error of the figures that were shown before the start."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from backend import units
from backend.run import forgetting, tasks
from backend.run.history import History
from tui.panels.lines import Row
from tui.panels.measures import predicted_peak
from tui.panels.panel import Panel
from tui.panels.samples import wrapped
from tui.plain import plain

_GOOD, _USUAL = 0.10, 0.25
"""Largest errors to the worse side, as fractions, for which a figure is drawn as good and as usual."""

_NAME, _COLUMN, _ERROR = 9, 10, 7
"""Cells of a name, of the longest figure with a space before it, and of an error."""
_LINES = 4
"""Lines for the reason why the run ended early."""


@dataclass(frozen=True)
class Figure:
    """One predicted and measured quantity; None if it is unknown."""

    name: str
    predicted: float | None
    measured: float | None
    shown: Callable[[float], str]

    comparable: bool = True
    """False for a figure of the whole run if the run did not finish."""
    more_is_better: bool = False
    unknown: str = "-"
    """What is shown for None."""

    @property
    def error(self) -> float | None:
        """Measured / predicted - 1; None if it can't be computed."""
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
    """Peak memory, time and cost of the whole run, and the mean tokens per second of its training steps."""
    predicted = history.predicted
    seconds = _seconds(history)
    price, hours = predicted.price_usd_per_hour, predicted.hours
    priceless = "-" if price is not None else "no price"
    paid = seconds / 3600 * price * history.devices if seconds is not None and price is not None else None
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
    """Whether the run corrects the next prediction, in a few words; empty until the run has ended."""
    event = history.calibration
    if event is None:
        return ""
    if event.kept:
        return "corrects the next prediction here"
    return f"no correction: {event.reason or 'no figures'}"


def losses(history: History) -> tuple[float, float] | None:
    """Held-out loss before training and of what was saved; the first and last training loss if nothing was held out."""
    if history.evaluations and history.result_loss is not None:
        return history.evaluations[0].loss, history.result_loss
    return (history.losses[0], history.losses[-1]) if len(history.losses) > 1 else None


def _seconds(history: History) -> float | None:
    """Seconds that the run took, attempts before a resume included; by the clock if the trainer did not report them."""
    if history.finished is None:
        return None
    if history.finished.seconds is None and history.started.t:
        return history.seconds_so_far(history.finished.t)
    return history.finished.seconds


class Outcome(Panel):
    """A table with the error in percent, and how the loss changed."""

    TITLE = "Predicted, measured"
    KEY = "2"

    def body(self, width: int, height: int) -> Iterable[Row]:
        """A line a figure; if there is room, also the phases and how many earlier runs corrected the prediction."""
        column = max(_COLUMN, (width - _NAME - _ERROR) // 2)
        head = (f"{'':<{_NAME}}{'predicted':>{column}}{'measured':>{column}}{'error':>{_ERROR}}", "faint")
        top: list[Row] = [(head,), *(_figure(figure, column) for figure in figures(self.history))]
        below = self._losses(width)
        said = lesson(self.history)
        below += [((plain(said, lines=False), "faint"),)] if said else []
        gap: list[Row] = [()] if len(top) + len(below) < height else []
        rows = [*top, *gap, *below]
        more = [*self._why_it_ended(width), *self._more(column)]
        return [*rows, *more] if len(rows) + len(more) <= height else rows

    def _why_it_ended(self, width: int) -> list[Row]:
        """The limit that ended it before its last step."""
        reason = self.history.finished.reason if self.history.finished else None
        return [((line, "warn"),) for line in wrapped(reason, width, _LINES)] if reason else []

    def _more(self, column: int) -> list[Row]:
        """What the figures cover, how many earlier runs corrected the prediction, and the peak of each phase."""
        runs = self.history.predicted.corrected_by_runs
        before: Row = ((f"prediction corrected by {runs} run{'' if runs == 1 else 's'}", "faint"),)
        peaks = [_figure(replace(x, name=f"  {plain(x.name, lines=False)}"), column) for x in phases(self.history)]
        covers: Row = (("time: whole run; tokens/s: training steps", "faint"),)
        head: list[Row] = [(), (("peak of each phase", "faint"),)]
        return [covers, *([before] if runs else []), *([*head, *peaks] if peaks else [])]

    def _losses(self, width: int) -> list[Row]:
        both = losses(self.history)
        if both is None:
            return []
        before, after = both
        more: list[Row] = [((plain(x, lines=False), "faint"),) for x in self._beside_the_loss(width) if x]
        what = "held-out loss " if len(self.history.evaluations) > 1 else "training loss "
        change = after / before - 1 if before else 0.0
        style, sign = ("good", "▼") if change <= 0 else ("warn", "▲")
        row: Row = ((what, "faint"), (f"{before:.3f} → ", ""), (f"{after:.3f}", "strong"))
        finished = self.history.finished
        best = f"saved: step {finished.result_step:,}, the lowest" if finished and finished.saved_earlier_step else ""
        return [(*row, (f"  {sign} {abs(change) * 100:.0f} %", style)), *([((best, "faint"),)] if best else []), *more]

    def _beside_the_loss(self, width: int) -> Iterator[str]:
        """What was forgotten, and the task's score; in short if there is no room for the sentence."""
        forgot, scores = forgetting.latest(self.history.forgetting), self.history.tasks
        yield _fitting(width, "forgetting: ", forgetting.sentence(forgot), forgetting.short(forgot))
        if scores:
            yield _fitting(width, "task: ", tasks.change(scores), tasks.short_change(scores))


def _fitting(width: int, label: str, sentence: str, short: str) -> str:
    """The sentence with its label, or what says the same in short; empty if there is nothing to say."""
    if not sentence:
        return ""
    return label + (sentence if len(label) + len(sentence) <= width else short)


def _signed(part: float) -> str:
    """`+6 %`, with a minus as wide as the plus."""
    return f"{'−' if part < 0 else '+'}{abs(part) * 100:.0f} %"


def _figure(figure: Figure, column: int) -> Row:
    """A line; a figure worse than predicted is coloured by its error."""
    predicted, measured = figure.words()
    row: Row = (
        (f"{figure.name:<{_NAME}}", "faint"),
        (f"{predicted:>{column}}", ""),
        (f"{measured:>{column}}", "strong"),
    )
    if figure.error is None:
        return row
    error = abs(figure.error)
    style = "good" if figure.is_better or error <= _GOOD else "warn" if error <= _USUAL else "bad"
    return (*row, (f"{_signed(figure.error):>{_ERROR}}", style))
