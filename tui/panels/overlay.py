"""Two runs compared: their smoothed losses in one chart, and the figures in which they differ."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence

from rich.cells import cell_len

from backend.run.history import History
from tui.glyphs import is_ascii
from tui.panels import dots
from tui.panels.axes import GUTTER, x_axis, y_axis
from tui.panels.columns import Columns, capacity_for
from tui.panels.lines import Row, joined
from tui.panels.panel import Clock, Panel, fitted
from tui.panels.scale import Scale

MARKS = ("◆", "◇")
NAMES = ("A", "B")
_STYLES = ("curve", "second")
_ASCII_LINES = ("*", "o")
_DASH = 6
"""Dot columns of a dash of the second curve, and of the gap after it."""

Difference = tuple[str, str, str]
"""What differs, in the first run and in the second."""


class OverlayCurve(Panel):
    """A solid, B dashed; evaluations as ◆ and ◇."""

    TITLE = "Loss"
    KEY = "1"

    def __init__(self, histories: tuple[History, History], clock: Clock = time.time, *, id: str | None = None) -> None:
        super().__init__(histories[0], clock, id=id)
        self._both = histories

    def note(self) -> Row:
        """Which line belongs to which run."""
        return (("A ━━ ◆  ", _STYLES[0]), ("B ╸ ╸ ◇", _STYLES[1]))

    def body(self, width: int, height: int) -> Iterable[Row]:
        """The chart with its axes."""
        plot_width, plot_height = width - GUTTER, height - 1
        if plot_width < 5 or plot_height < 2:
            return []
        if not all(past.steps or past.evaluations for past in self._both):
            return [(("one of the two has no loss yet", "faint"),)]
        capacity = max(capacity_for(past.step, past.total_steps) for past in self._both)
        columns = tuple(_columns(past, 2 * plot_width, capacity) for past in self._both)
        firm = [x for one in columns for x in one.smooth if x is not None]
        firm += [x.loss for past in self._both for x in past.evaluations]
        scale = Scale.around(min(firm), max(firm), plot_height)
        return [*self._plot(columns, scale, plot_width, plot_height), x_axis(capacity, plot_width)]

    def _plot(self, columns: Sequence[Columns], scale: Scale, width: int, height: int) -> Iterator[Row]:
        signs: list[dict[tuple[int, int], tuple[str, str]]] = []
        for number, (past, one) in enumerate(zip(self._both, columns, strict=True)):
            marks = {(scale.row(x.loss, height), one.column(x.step) // 2): MARKS[number] for x in past.evaluations}
            line = self._line(number, dots.line(one.smooth, scale, height))
            signs.append({place: (sign, _STYLES[number]) for place, sign in (line | marks).items()})
        for y, (axis, on_tick) in enumerate(y_axis(scale, height)):
            empty = ("┈", "grid") if on_tick else (" ", "")
            yield (*axis, *joined(signs[0].get((y, x)) or signs[1].get((y, x), empty) for x in range(width)))

    def _line(self, number: int, grid: dots.Grid) -> dict[tuple[int, int], str]:
        """Row and column of each cell that the curve passes -> its sign; the second one has gaps."""
        in_ascii = is_ascii(self.app)
        return {
            (y, x): _ASCII_LINES[number] if in_ascii else dots.sign(pattern)
            for y, row in enumerate(grid)
            for x, pattern in row.items()
            if not number or 2 * x // _DASH % 2 == 0
        }


class Differences(Panel):
    """Three columns: what differs, A, B. Rows for which there is no room are counted."""

    TITLE = "What differs"
    KEY = "2"

    def __init__(
        self, history: History, rows: Sequence[Difference], clock: Clock = time.time, *, id: str | None = None
    ) -> None:
        super().__init__(history, clock, id=id)
        self._differences = rows

    def body(self, width: int, height: int) -> Iterable[Row]:
        """A line each."""
        wide = max((cell_len(name) for name, _, _ in self._differences), default=0) + 2
        column = max(6, (width - wide) // 2)
        rows: list[Row] = [((f"{'':<{wide}}{NAMES[0]:<{column}}{NAMES[1]}", "faint"),)]
        rows += [_row(one, wide, column) for one in self._differences]
        if len(rows) > height:
            left = len(rows) - height + 1
            rows = [*rows[: height - 1], ((f"and {left} more; 2 gives them room", "faint"),)]
        return rows if self._differences else [(("no setting and no result", "faint"),)]


def _row(one: Difference, wide: int, column: int) -> Row:
    name, first, second = one
    left = fitted(((first, _STYLES[0]),), column - 1)
    gap = column - sum(cell_len(text) for text, _ in left)
    return ((f"{name:<{wide}}", "faint"), *left, (" " * gap, ""), (second, _STYLES[1]))


def _columns(past: History, count: int, capacity: int) -> Columns:
    columns = Columns(count, capacity)
    columns.add(past.steps, past.losses)
    return columns
