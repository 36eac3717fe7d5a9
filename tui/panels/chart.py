"""A quantity over the steps of a run, in braille: single values faint, their average strong, evaluations as marks.

Its scales change rarely, so that a live screen repaints little.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from backend.run.history import History
from tui.panels import dots
from tui.panels.axes import GUTTER, x_axis, y_axis
from tui.panels.columns import Columns, capacity_for
from tui.panels.lines import Row, Span, joined
from tui.panels.measures import LOSS, Measure
from tui.panels.scale import Scale

EVAL_MARK = "◆"
ABOVE, BELOW = "▲", "▼"
"""Marks of values beyond the scale. They have no dots: a dot at the edge would be a value that was never measured."""
_ASCII_LINE = "*"
"""The average in ASCII, in which single values are dots and colons."""
_SPIKES = 0.02
"""At most this fraction of the columns may lie beyond the scale, if they would squeeze the others together."""
_SQUEEZED = 2.0
"""They would if the scale had to be this many times as high for them."""


_LEAST_WIDTH = 5
Signs = dict[int, Span]
"""Column -> what is drawn there, and its style."""


class Chart:
    """One quantity. `fold` takes in what is new, then `rows` draws."""

    def __init__(self, history: History, measure: Measure = LOSS) -> None:
        self.measure = measure
        self.columns = Columns(1, 1)
        self._past = history
        self._scale: Scale | None = None
        self._scale_rows = 0
        self._attempt: object = None

    @property
    def average(self) -> float | None:
        """The average at the last step."""
        return self.columns.average

    def is_empty(self, history: History) -> bool:
        """Whether nothing has been measured yet."""
        return not self.measure.series(history).steps and not (self.measure is LOSS and history.evaluations)

    def rows(self, history: History, width: int, height: int, *, in_ascii: bool) -> Iterable[Row]:
        """The chart with its axes, in `width` cells and `height` lines; none if that is too little."""
        plot_width, plot_height = width - GUTTER, height - 1
        if plot_width < _LEAST_WIDTH or plot_height < 2 or self.is_empty(history):
            return ()
        self.fold(history, width)
        scale = self._rescale(plot_height)
        return [*self._plot(scale, plot_width, plot_height, in_ascii), x_axis(self.columns.capacity, plot_width)]

    def fold(self, history: History, width: int) -> None:
        """Add the points that are new, for a chart of `width` cells with its axis."""
        if width - GUTTER < _LEAST_WIDTH:
            return
        self._past, count = history, 2 * (width - GUTTER)
        past, series = history, self.measure.series(history)
        capacity = capacity_for(past.step, past.total_steps)
        held = self.columns
        same = (held.count, held.capacity) == (count, capacity)
        if not same or past.started is not self._attempt or held.seen > len(series.steps):
            held = self.columns = Columns(count, capacity)
            self._attempt = past.started
        held.add(series.steps, series.values)

    def _rescale(self, rows: int) -> Scale:
        low, high = self._bounds()
        if self._scale is None or rows != self._scale_rows or not self._scale.kept_for(low, high):
            self._scale, self._scale_rows = Scale.around(low, high, rows), rows
        return self._scale

    def _bounds(self) -> tuple[float, float]:
        """What the scale holds: averages, evaluations, and all values but spikes that would squeeze the others."""
        columns, unit = self.columns, self.measure.unit
        firm = [x for x in columns.smooth if x is not None] if self.measure.averaged else []
        firm += [x.loss for x in self._past.evaluations] if self.measure is LOSS else []
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
        predicted = self.measure.predicted(self._past)
        return None if predicted is None else predicted / self.measure.unit

    def _plot(self, scale: Scale, width: int, height: int, in_ascii: bool) -> Iterator[Row]:
        columns, unit, averaged = self.columns, self.measure.unit, self.measure.averaged
        lows, highs, smooth = (_divided(values, unit) for values in (columns.low, columns.high, columns.smooth))
        single = _drawn(dots.ranges(lows, highs, scale, height), "raw" if averaged else "curve", in_ascii)
        average = _drawn(dots.line(smooth, scale, height) if averaged else [{}] * height, "curve", in_ascii)
        beyond, marks = _beyond(lows, highs, scale, height), self._marks(scale, height)
        predicted = self._predicted
        across = scale.row(predicted, height) if predicted is not None and scale.holds(predicted) else None
        for y, (axis, on_tick) in enumerate(y_axis(scale, height)):
            empty: Span = ("┄", "warn") if y == across else ("┈", "grid") if on_tick else (" ", "")
            signs = single[y] | average[y] | beyond[y] | marks[y]
            yield (*axis, *joined(_spans(signs, width, empty)))

    def _marks(self, scale: Scale, height: int) -> list[Signs]:
        """The evaluations."""
        rows: list[Signs] = [{} for _ in range(height)]
        for seen in self._past.evaluations if self.measure is LOSS else ():
            rows[scale.row(seen.loss, height)][self.columns.column(seen.step) // 2] = (EVAL_MARK, "second")
        return rows


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
