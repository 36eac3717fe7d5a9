"""The loss as a braille curve: raw faint, smoothed strong, evaluations as marks. Its scales change rarely."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Set

from backend import units
from backend.run.history import History
from tui.glyphs import is_ascii
from tui.panels import dots, words
from tui.panels.axes import GUTTER, x_axis, y_axis
from tui.panels.columns import Columns, capacity_for, smoothing_window
from tui.panels.lines import Row, Span, joined
from tui.panels.panel import Clock, Panel
from tui.panels.scale import Scale
from tui.plain import plain

EVAL_MARK = "◆"
_ASCII_LINE = "*"
"""The smoothed curve in ASCII, in which raw values are dots and colons."""
_RAW_MARGIN = 0.35
"""How far raw values may extend the scale beyond the smoothed ones, as a fraction of their range; spikes are cut."""

_WIDTH_FOR_WORDS = 46


class Curve(Panel):
    """Loss over optimizer steps."""

    TITLE = "Loss"
    KEY = "1"

    def __init__(self, history: History, clock: Clock = time.time, *, id: str | None = None) -> None:
        super().__init__(history, clock, id=id)
        self._columns = Columns(1, 1, 4)
        self._scale: Scale | None = None
        self._scale_rows = 0
        self._attempt: object = None

    def note(self) -> Row:
        """The latest training and held-out loss."""
        average, evaluations = self._columns.average, self.history.evaluations
        words = self.size.width >= _WIDTH_FOR_WORDS
        train: Row = (("train " if words else "", "faint"), (f"{average:.3f} ", "curve")) if average is not None else ()
        if not evaluations:
            return train
        change = evaluations[-1].loss - evaluations[0].loss
        arrow = f" {'▼' if change <= 0 else '▲'}{abs(change):.2f}" if len(evaluations) > 1 else ""
        mark = f"{EVAL_MARK} eval " if words else f"{EVAL_MARK} "
        return (*train, (f"{mark}{evaluations[-1].loss:.3f}", "second"), (arrow, "faint"))

    def redraw(self) -> None:
        """Add the new points before the frame shows their figures."""
        plot_width = self.size.width - 4 - GUTTER
        if plot_width > 4:
            self._fold(2 * plot_width)
        super().redraw()

    def body(self, width: int, height: int) -> Iterable[Row]:
        """The chart with its axes; before the first loss, the phase."""
        if not self.history.steps and not self.history.evaluations:
            return self._waiting(width, height)
        plot_width, plot_height = width - GUTTER, height - 1
        if plot_width < 5 or plot_height < 2:
            return ()
        scale = self._rescale(plot_height)
        return [*self._plot(scale, plot_width, plot_height), x_axis(self._columns.capacity, plot_width)]

    def _fold(self, dots: int) -> None:
        past = self.history
        capacity = capacity_for(past.step, past.total_steps)
        held = self._columns
        same = (held.count, held.capacity) == (dots, capacity) and past.started is self._attempt
        if not same or held.seen > len(past.steps):
            held = self._columns = Columns(dots, capacity, smoothing_window(past.total_steps))
            self._attempt = past.started
        held.add(past.steps, past.losses)

    def _rescale(self, rows: int) -> Scale:
        firm = [x for x in self._columns.smooth if x is not None] + [x.loss for x in self.history.evaluations]
        low, high = min(firm), max(firm)
        margin = (high - low) * _RAW_MARGIN or abs(high) * 0.05
        raw_low = min((x for x in self._columns.low if x is not None), default=low)
        raw_high = max((x for x in self._columns.high if x is not None), default=high)
        low, high = min(low, max(raw_low, low - margin)), max(high, min(raw_high, high + margin))
        if self._scale is None or rows != self._scale_rows or not self._scale.kept_for(low, high):
            self._scale, self._scale_rows = Scale.around(low, high, rows), rows
        return self._scale

    def _plot(self, scale: Scale, width: int, height: int) -> Iterator[Row]:
        raw, smooth = dots.raw(self._columns, scale, height), dots.line(self._columns.smooth, scale, height)
        in_ascii = is_ascii(self.app)
        marks: list[set[int]] = [set() for _ in range(height)]
        for x in self.history.evaluations:
            marks[scale.position(x.loss, height)].add(self._columns.column(x.step) // 2)
        for y, (axis, on_tick) in enumerate(y_axis(scale, height)):
            line = {column: _line_sign(pattern, in_ascii) for column, pattern in smooth[y].items()}
            yield (*axis, *joined(_spans(raw[y], line, marks[y], width, "┈" if on_tick else " ")))

    def _waiting(self, width: int, height: int) -> Iterator[Row]:
        """In the middle, the phase and for how long it has been running: the screen never looks dead."""
        past = self.history
        since = units.duration(max(0.0, self.clock() - past.phase_since)) if past.phase_since else ""
        text = plain(words.phase(past), lines=False)
        yield from [()] * max(0, height // 2 - 1)
        yield ((" " * max(0, (width - len(text)) // 2), ""), (text, "strong"))
        yield ((" " * max(0, (width - len(since)) // 2), ""), (since, "faint"))


def _line_sign(pattern: int, in_ascii: bool) -> str:
    """A cell of the smoothed curve."""
    return _ASCII_LINE if in_ascii else dots.sign(pattern)


def _spans(raw: Mapping[int, int], line: Mapping[int, str], marks: Set[int], width: int, empty: str) -> Iterator[Span]:
    """One row: the cells that show something, and what is between them in one span, as most of a chart is empty."""
    ground, at = "grid" if empty.strip() else "", 0
    for x in sorted({*raw, *line, *marks}):
        if x > at:
            yield empty * (x - at), ground
        if x in marks:
            yield EVAL_MARK, "second"
        elif x in line:
            yield line[x], "curve"
        else:
            yield dots.sign(raw[x]), "raw"
        at = x + 1
    yield empty * (width - at), ground
