"""A chart over steps, in braille: single values faint, their average strong, evaluations as marks.

It begins with the loss; `[` and `]` go through the other quantities of the run. Its scales change rarely.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence

from backend import units
from backend.run.history import History
from tui.glyphs import is_ascii
from tui.panels import dots, words
from tui.panels.axes import GUTTER, x_axis, y_axis
from tui.panels.columns import Columns, capacity_for
from tui.panels.lines import Row, Span, joined
from tui.panels.measures import LOSS, Measure, known
from tui.panels.panel import Clock, Panel, row_width
from tui.panels.scale import Scale
from tui.plain import plain

EVAL_MARK = "◆"
ABOVE, BELOW = "▲", "▼"
"""Values beyond the scale: they have no dots, since a dot at the edge would be a value that never was."""
_ASCII_LINE = "*"
"""The average in ASCII, in which single values are dots and colons."""
_SPIKES = 0.02
"""Up to this part of the columns may lie beyond the scale, if they would squeeze the others together."""
_SQUEEZED = 2.0
"""So many times as high a scale would be needed for them."""


Signs = dict[int, Span]
"""Column -> what is drawn there, and its style."""


class Curve(Panel):
    """A quantity over optimizer steps."""

    KEY = "1"

    def __init__(self, history: History, clock: Clock = time.time, *, id: str | None = None) -> None:
        super().__init__(history, clock, id=id)
        self.measure = LOSS
        self._columns = Columns(1, 1)
        self._drawn: Measure = LOSS
        self._scale: Scale | None = None
        self._scale_rows = 0
        self._attempt: object = None

    @property
    def title(self) -> str:
        """What is drawn."""
        return self.measure.title

    def turn(self, by: int) -> None:
        """Draw the next quantity that the run has values of, or the one before."""
        all_known = known(self.history)
        at = all_known.index(self.measure) if self.measure in all_known else 0
        self.measure = all_known[(at + by) % len(all_known)]
        self._scale = None
        self.redraw()

    def note(self) -> Row:
        """The last value, the average, and the held-out loss, in as many words as there is room for."""
        room = self.size.width - len(self.title) - 12
        for is_long in (True, False):
            row = self._note(is_long=is_long)
            if row_width(row) <= room:
                break
        return row

    def _note(self, *, is_long: bool) -> Row:
        measure, columns = self.measure, self._columns
        values = measure.series(self.history).values
        row: Row = ((f"{'last ' if is_long else ''}", "faint"), (measure.shown(values[-1]), "")) if values else ()
        if values and measure.averaged and columns.average is not None:
            of = f"  mean of {columns.window} steps " if is_long else " mean "
            row = (*row, (of, "faint"), (measure.shown(columns.average), "curve"))
        if (predicted := measure.predicted(self.history)) is not None:
            row = (*row, ("  predicted " if is_long else " ┄ ", "faint"), (measure.shown(predicted), "warn"))
        return (*row, *self._held_out(is_long=is_long)) if measure is LOSS else row

    def _held_out(self, *, is_long: bool) -> Row:
        evaluations = self.history.evaluations
        if not evaluations:
            return ()
        change = evaluations[-1].loss - evaluations[0].loss
        arrow = f" {'▼' if change <= 0 else '▲'}{abs(change):.2f}" if len(evaluations) > 1 else ""
        mark = f"  {EVAL_MARK} held-out " if is_long else f" {EVAL_MARK} "
        return ((f"{mark}{evaluations[-1].loss:.3f}", "second"), (arrow, "faint"))

    def redraw(self) -> None:
        """Add the new points before the frame shows their figures."""
        plot_width = self.size.width - 4 - GUTTER
        if plot_width > 4:
            self._fold(2 * plot_width)
        super().redraw()

    def body(self, width: int, height: int) -> Iterable[Row]:
        """The chart with its axes; before the first value, the phase."""
        marks = self.history.evaluations if self.measure is LOSS else ()
        if not self.measure.series(self.history).steps and not marks:
            return self._waiting(width, height)
        plot_width, plot_height = width - GUTTER, height - 1
        if plot_width < 5 or plot_height < 2:
            return ()
        scale = self._rescale(plot_height)
        return [*self._plot(scale, plot_width, plot_height), x_axis(self._columns.capacity, plot_width)]

    def _fold(self, count: int) -> None:
        past, series = self.history, self.measure.series(self.history)
        capacity = capacity_for(past.step, past.total_steps)
        held = self._columns
        same = (held.count, held.capacity, self._drawn) == (count, capacity, self.measure)
        if not same or past.started is not self._attempt or held.seen > len(series.steps):
            held = self._columns = Columns(count, capacity)
            self._attempt, self._drawn = past.started, self.measure
        held.add(series.steps, series.values)

    def _rescale(self, rows: int) -> Scale:
        low, high = self._bounds()
        if self._scale is None or rows != self._scale_rows or not self._scale.kept_for(low, high):
            self._scale, self._scale_rows = Scale.around(low, high, rows), rows
        return self._scale

    def _bounds(self) -> tuple[float, float]:
        """What the scale holds: averages, evaluations, and all values but spikes that would squeeze the others."""
        columns, unit = self._columns, self.measure.unit
        firm = [x for x in columns.smooth if x is not None] if self.measure.averaged else []
        firm += [x.loss for x in self.history.evaluations] if self.measure is LOSS else []
        lows, highs = (sorted(x for x in values if x is not None) for values in (columns.low, columns.high))
        spikes = int(len(lows) * _SPIKES)
        low, high = min([*firm, *lows]), max([*firm, *highs])
        inner_low, inner_high = min([*firm, *lows[spikes:]]), max([*firm, *highs[: len(highs) - spikes]])
        if high - low > _SQUEEZED * (inner_high - inner_low) > 0:
            low, high = inner_low, inner_high
        return self._with_predicted(low / unit, high / unit)

    def _with_predicted(self, low: float, high: float) -> tuple[float, float]:
        """The bounds extended to the prediction, unless it is so far away that it would flatten the curve."""
        predicted = self._predicted
        near = high - low + 0.5 * abs(high)
        if predicted is None or not low - near < predicted < high + near:
            return low, high
        return min(low, predicted), max(high, predicted)

    @property
    def _predicted(self) -> float | None:
        """The prediction as the axis counts."""
        predicted = self.measure.predicted(self.history)
        return None if predicted is None else predicted / self.measure.unit

    def _plot(self, scale: Scale, width: int, height: int) -> Iterator[Row]:
        columns, unit, averaged = self._columns, self.measure.unit, self.measure.averaged
        lows, highs, smooth = (_divided(values, unit) for values in (columns.low, columns.high, columns.smooth))
        single = _drawn(dots.ranges(lows, highs, scale, height), "raw" if averaged else "curve", self._in_ascii)
        average = _drawn(dots.line(smooth, scale, height) if averaged else [{}] * height, "curve", self._in_ascii)
        beyond, marks = _beyond(lows, highs, scale, height), self._marks(scale, height)
        predicted = self._predicted
        across = scale.row(predicted, height) if predicted is not None and scale.holds(predicted) else None
        for y, (axis, on_tick) in enumerate(y_axis(scale, height)):
            empty: Span = ("┄", "warn") if y == across else ("┈", "grid") if on_tick else (" ", "")
            signs = single[y] | average[y] | beyond[y] | marks[y]
            yield (*axis, *joined(_spans(signs, width, empty)))

    @property
    def _in_ascii(self) -> bool:
        return is_ascii(self.app)

    def _marks(self, scale: Scale, height: int) -> list[Signs]:
        """The evaluations."""
        rows: list[Signs] = [{} for _ in range(height)]
        for seen in self.history.evaluations if self.measure is LOSS else ():
            rows[scale.row(seen.loss, height)][self._columns.column(seen.step) // 2] = (EVAL_MARK, "second")
        return rows

    def _waiting(self, width: int, height: int) -> Iterator[Row]:
        """In the middle, the phase and for how long it has been running: the screen never looks dead."""
        past = self.history
        since = units.duration(max(0.0, self.clock() - past.phase_since)) if past.phase_since else ""
        text = plain(words.phase(past), lines=False)
        yield from [()] * max(0, height // 2 - 1)
        yield ((" " * max(0, (width - len(text)) // 2), ""), (text, "strong"))
        yield ((" " * max(0, (width - len(since)) // 2), ""), (since, "faint"))


def _divided(values: Sequence[float | None], unit: float) -> Sequence[float | None]:
    return values if unit == 1.0 else [None if x is None else x / unit for x in values]


def _drawn(grid: dots.Grid, style: str, in_ascii: bool) -> list[Signs]:
    """The dots of each row as signs; what is not faint is a line, which in ASCII has a sign of its own."""
    as_line = in_ascii and style != "raw"
    return [{x: (_ASCII_LINE if as_line else dots.sign(dot), style) for x, dot in row.items()} for row in grid]


def _beyond(lows: Sequence[float | None], highs: Sequence[float | None], scale: Scale, height: int) -> list[Signs]:
    """A sign at the edge for each column with a value beyond the scale."""
    rows: list[Signs] = [{} for _ in range(height)]
    for x, (low, high) in enumerate(zip(lows, highs, strict=True)):
        if high is not None and high > scale.high:
            rows[0][x // 2] = (ABOVE, "warn")
        if low is not None and low < scale.low:
            rows[-1][x // 2] = (BELOW, "warn")
    return rows


def _spans(signs: Signs, width: int, empty: Span) -> Iterator[Span]:
    """One row: the cells that show something, and what is between them in one span, as most of a chart is empty."""
    at = 0
    for x in sorted(signs):
        if x > at:
            yield empty[0] * (x - at), empty[1]
        yield signs[x]
        at = x + 1
    yield empty[0] * (width - at), empty[1]
