"""Two to four runs compared: their average losses in one chart, and the figures in which they differ."""

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
from tui.panels.panel import Clock, Panel, fitted, row_width
from tui.panels.scale import Scale

NAMES = ("A", "B", "C", "D")
MOST = len(NAMES)
"""The most runs in one chart."""
MARKS = ("◆", "◇", "●", "○")
STYLES = ("curve", "second", "warn", "good")
_LINES = ("━━", "╸ ╸", "┈┈", "━ ┈")
_ASCII_LINES = ("*", "o", ".", "x")
_PATTERNS = ("1", "111000", "10", "11101000")
"""The repeating pattern of cells drawn (1) and left out (0), so that curves differ without colour too."""

Difference = tuple[str, tuple[str, ...]]
"""What differs, and its value in each run."""


class OverlayCurve(Panel):
    """A solid, the others with gaps of their own; evaluations with a mark of each."""

    TITLE = "Loss"
    KEY = "1"

    def __init__(self, histories: Sequence[History], clock: Clock = time.time, *, id: str | None = None) -> None:
        super().__init__(histories[0], clock, id=id)
        self._all = histories

    def note(self) -> Row:
        """Which line belongs to which run."""
        count = len(self._all)
        signs = zip(NAMES[:count], _LINES, MARKS, STYLES, strict=False)
        return tuple((f"{name} {line} {mark}  ", style) for name, line, mark, style in signs)

    def body(self, width: int, height: int) -> Iterable[Row]:
        """The chart with its axes."""
        plot_width, plot_height = width - GUTTER, height - 1
        if plot_width < 5 or plot_height < 2:
            return []
        if not all(past.steps or past.evaluations for past in self._all):
            return [(("one of them has no loss yet", "faint"),)]
        capacity = max(capacity_for(past.step, past.total_steps) for past in self._all)
        columns = tuple(_columns(past, 2 * plot_width, capacity) for past in self._all)
        firm = [x for one in columns for x in one.smooth if x is not None]
        firm += [x.loss for past in self._all for x in past.evaluations]
        scale = Scale.around(min(firm), max(firm), plot_height)
        return [*self._plot(columns, scale, plot_width, plot_height), x_axis(capacity, plot_width)]

    def _plot(self, columns: Sequence[Columns], scale: Scale, width: int, height: int) -> Iterator[Row]:
        signs: list[dict[tuple[int, int], tuple[str, str]]] = []
        for number, (past, one) in enumerate(zip(self._all, columns, strict=True)):
            marks = {(scale.row(x.loss, height), one.column(x.step) // 2): MARKS[number] for x in past.evaluations}
            line = self._line(number, dots.line(one.smooth, scale, height))
            signs.append({place: (sign, STYLES[number]) for place, sign in (line | marks).items()})
        for y, (axis, on_tick) in enumerate(y_axis(scale, height)):
            empty = ("┈", "grid") if on_tick else (" ", "")
            cells = (next((one[y, x] for one in signs if (y, x) in one), empty) for x in range(width))
            yield (*axis, *joined(cells))

    def _line(self, number: int, grid: dots.Grid) -> dict[tuple[int, int], str]:
        """Row and column of each cell that the curve passes -> its sign; all but the first have gaps."""
        in_ascii, pattern = is_ascii(self.app), _PATTERNS[number]
        return {
            (y, x): _ASCII_LINES[number] if in_ascii else dots.sign(bits)
            for y, row in enumerate(grid)
            for x, bits in row.items()
            if pattern[x % len(pattern)] == "1"
        }


class Differences(Panel):
    """What differs, and a column a run. Rows for which there is no room are counted."""

    TITLE = "What differs"
    KEY = "2"

    def __init__(
        self, history: History, rows: Sequence[Difference], clock: Clock = time.time, *, id: str | None = None
    ) -> None:
        super().__init__(history, clock, id=id)
        self._differences = rows

    def body(self, width: int, height: int) -> Iterable[Row]:
        """A line each."""
        wide = max((cell_len(name) for name, _ in self._differences), default=0) + 2
        count = len(self._differences[0][1]) if self._differences else 1
        column = max(6, (width - wide) // count)
        rows: list[Row] = [((f"{'':<{wide}}" + "".join(f"{name:<{column}}" for name in NAMES[:count]), "faint"),)]
        rows += [_row(one, wide, column) for one in self._differences]
        if len(rows) > height:
            left = len(rows) - height + 1
            rows = [*rows[: height - 1], ((f"and {left} more; 2 gives them room", "faint"),)]
        return rows if self._differences else [(("no setting and no result", "faint"),)]


def _row(one: Difference, wide: int, column: int) -> Row:
    name, values = one
    row: Row = ((f"{name:<{wide}}", "faint"),)
    for value, style in zip(values, STYLES, strict=False):
        cell = fitted(((value, style),), column - 1)
        row = (*row, *cell, (" " * (column - row_width(cell)), ""))
    return row


def _columns(past: History, count: int, capacity: int) -> Columns:
    columns = Columns(count, capacity)
    columns.add(past.steps, past.losses)
    return columns
