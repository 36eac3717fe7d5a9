"""Memory now and at its peak, against the prediction and the device's memory."""

from __future__ import annotations

import time
from collections.abc import Iterable

from backend import units
from backend.run.history import History
from tui.glyphs import is_ascii
from tui.panels import measures
from tui.panels.chart import Chart
from tui.panels.lines import Row
from tui.panels.measures import predicted_peak
from tui.panels.panel import Clock, Panel, row_width
from tui.panels.spark import CHART_LINES, sparkline

_EIGHTHS = " ▏▎▍▌▋▊▉"
_LABEL = 10
_FIGURE = 9
_ROOMY = 36
"""Columns from which the whole note has room in the frame, whatever its figure."""
_MOST_EMPTY = 5
"""If the bars fill less than one part in this many of the device's memory, they get a scale of their own."""


class MemoryPanel(Panel):
    """Three bars on one scale: a full bar is the device's memory, unless the bars would look empty."""

    TITLE = "Memory"
    KEY = "2"

    def __init__(self, history: History, clock: Clock = time.time, *, id: str | None = None) -> None:
        super().__init__(history, clock, id=id)
        self._chart = Chart(history, measures.MEMORY)

    def note(self) -> Row:
        """The peak as a percentage of the prediction."""
        predicted, peak = predicted_peak(self.history), self.history.peak_bytes
        if not peak or not predicted:
            return ()
        part = peak / predicted
        style = "good" if part <= 1 else "warn" if part <= 1.1 else "bad"
        space = " " if part < 1 or self.size.width >= _ROOMY else ""
        return ((f"{part * 100:.0f}{space}% ", style), ("of predicted", "faint"))

    def body(self, width: int, height: int) -> Iterable[Row]:
        """Bars for now, peak and prediction, then what they measure."""
        whole = self._whole()
        now, peak, predicted = self._now(), self.history.peak_bytes, predicted_peak(self.history)
        if not whole:
            return [(("no reading yet", "faint"),)]
        scale = scale_for(whole, max(peak, predicted, now))
        bars = [
            _bar("now", now, scale, width, "curve", predicted),
            _bar("peak", peak, scale, width, "second", predicted),
            _bar("predicted", predicted, scale, width, "faint", predicted),
        ]
        if height < 4:
            return bars
        rows: list[Row] = [*bars, self._whose(whole, scale, width)]
        return [*rows, *self._over_time(width, height - len(rows))]

    def _over_time(self, width: int, height: int) -> Iterable[Row]:
        """What there is room for of the run so far: a chart in a large panel, a line of signs in a small one."""
        measure, past = measures.MEMORY, self.history
        if height >= CHART_LINES:
            return [(), *self._chart.rows(past, width, height - 1, in_ascii=is_ascii(self.app))]
        return [sparkline("over time", measure.series(past).values, width, _LABEL)] if height > 0 else []

    def _whose(self, whole: int, scale: int, width: int) -> Row:
        """What the bars measure, and how much memory there is."""
        is_rss = self.history.memory.kind == "rss"
        place, measure = ("RAM", "this process (RSS)") if is_rss else ("card", "torch's allocator")
        row: Row = ((f"{place} ", "faint"), (units.memory(whole), ""))
        if scale < whole:
            row = (*row, (f" · bars to {_power_of_two(scale)}", "faint"))
        named: Row = (*row, (f" · {measure}", "faint"))
        return named if row_width(named) <= width else row

    def _whole(self) -> int:
        return self.history.memory.device_bytes or self.history.predicted.device_bytes

    def _now(self) -> int:
        return self.history.memory.allocated_bytes


def _power_of_two(count: int) -> str:
    """`8 GiB`, `512 MiB`: no decimals, which would be zeros."""
    return f"{count // units.GIB} GiB" if count >= units.GIB else f"{count // units.MIB} MiB"


def scale_for(whole: int, most: int) -> int:
    """Bytes of a full bar: the device's, or a power of two if so little is used that a bar would look empty."""
    if not most or most * _MOST_EMPTY > whole:
        return whole
    return int(2 ** (most.bit_length() + 1))


def _bar(label: str, value: int, whole: int, width: int, style: str, mark: int) -> Row:
    """A labelled bar of `value` in `whole` bytes, with a thin line at `mark` bytes."""
    room = width - _LABEL - _FIGURE - 2
    figure = units.memory(value) if value else "-"
    if room < 6:
        return ((f"{label:<{_LABEL}}", "faint"), (f"{figure:>{_FIGURE}}", ""))
    filled = _fill(value / whole, room)
    at = min(room - 1, round(room * mark / whole))
    if not mark or at < len(filled.rstrip()):
        bar: Row = ((filled, style),)
    else:
        bar = ((filled[:at], style), ("┊", "warn"), (" " * (room - at - 1), ""))
    return ((f"{label:<{_LABEL}}", "faint"), ("▕", "frame"), *bar, ("▏", "frame"), (f"{figure:>{_FIGURE}}", ""))


def _fill(part: float, width: int) -> str:
    eighths = round(min(1.0, max(0.0, part)) * width * 8)
    whole, rest = divmod(eighths, 8)
    return ("█" * whole + (_EIGHTHS[rest] if rest else "")).ljust(width)[:width]
