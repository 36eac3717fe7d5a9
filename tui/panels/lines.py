"""Rows of styled text that repaint only the cells that changed, so that a live screen sends little over SSH."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import ClassVar

from rich.cells import get_character_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

Span = tuple[str, str]
"""Text and the name of its style: `faint` is the component class `lines--faint`, the empty name is the widget's own."""
Row = tuple[Span, ...]
Cell = tuple[str, str]
PAD = "pad"
"""The style of filling, so that what comes after it starts a segment of its own."""

_GAP = 6
"""Equal cells between two changed ones that cost less to repaint than a cursor movement."""


def cells(row: Row, width: int) -> list[Cell]:
    """`row` as exactly `width` cells. A wide character takes two: itself and an empty one."""
    out: list[Cell] = []
    for text, name in row:
        for character in text:
            style = name
            size = get_character_cell_size(character)
            if character == " " and out and name != PAD:
                style = out[-1][1]  # a style doesn't show on a space: one colour change less to send
            if size == 0 and out:
                out[-1] = (out[-1][0] + character, out[-1][1])
            elif len(out) + size > width:
                break
            elif size:
                out.append((character, style))
                out.extend([("", style)] * (size - 1))
    out.extend([(" ", PAD)] * (width - len(out)))
    return out


def joined(cells: Iterable[Span]) -> Iterator[Span]:
    """Neighbours of one style as one span: a chart's row is many cells and few of them."""
    for style, group in groupby(cells, itemgetter(1)):
        yield "".join(map(itemgetter(0), group)), style


def changed_runs(before: Sequence[Cell], after: Sequence[Cell]) -> Iterator[tuple[int, int]]:
    """Start and length of each run of cells that differ; no run cuts a wide character in two."""
    start = end = -1
    for x in range(len(after)):
        if before[x] == after[x]:
            continue
        first, last = x, x + 1
        while first and "" in (before[first][0], after[first][0]):
            first -= 1
        while last < len(after) and "" in (before[last][0], after[last][0]):
            last += 1
        if start >= 0 and first - end <= _GAP:
            end = max(end, last)
            continue
        if start >= 0:
            yield start, end - start
        start, end = first, last
    if start >= 0:
        yield start, end - start


class Lines(Widget):
    """A widget of rows. `set_rows` compares with what is shown and repaints the difference."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "lines--faint",
        "lines--strong",
        "lines--accent",
        "lines--second",
        "lines--good",
        "lines--warn",
        "lines--bad",
        "lines--frame",
        "lines--focus",
        "lines--curve",
        "lines--raw",
        "lines--grid",
        "lines--pad",
    }
    DEFAULT_CSS = """
    Lines {
        & .lines--faint { color: $faint; }
        & .lines--strong { text-style: bold; }
        & .lines--accent { color: $accent; text-style: bold; }
        & .lines--second { color: $secondary; }
        & .lines--good { color: $success; }
        & .lines--warn { color: $warning; }
        & .lines--bad { color: $error; text-style: bold; }
        & .lines--frame { color: $border-blurred; }
        & .lines--focus { color: $border; }
        & .lines--curve { color: $accent; }
        & .lines--raw { color: $faint; }
        & .lines--grid { color: $border-blurred; }
    }
    """

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._rows: list[Row] = []
        self._cells: list[list[Cell]] = []
        self._styles_by_name: dict[str, Style] = {}

    def set_rows(self, rows: Iterable[Row]) -> None:
        """Show `rows` from the top; what does not fit is left out."""
        width, height = self.size
        new = list(rows)[:height]
        new.extend([()] * (height - len(new)))
        regions: list[Region] = []
        for y, row in enumerate(new):
            regions.extend(self._replace(y, row, width))
        del self._rows[height:], self._cells[height:]
        if regions:
            self.refresh(*regions)

    def _replace(self, y: int, row: Row, width: int) -> list[Region]:
        """Put `row` at `y`; returns what must be painted."""
        if y >= len(self._rows):
            self._rows.append(row)
            self._cells.append(cells(row, width))
            return [Region(0, y, width, 1)]
        before = self._cells[y]
        if self._rows[y] == row and len(before) == width:
            return []
        after = cells(row, width)
        self._rows[y], self._cells[y] = row, after
        if len(before) != width:
            return [Region(0, y, width, 1)]
        return [Region(x, y, length, 1) for x, length in changed_runs(before, after)]

    def notify_style_update(self) -> None:
        """A theme or a focus changed: resolve the style names again."""
        super().notify_style_update()
        self._styles_by_name.clear()

    def _style(self, name: str) -> Style:
        if name not in self._styles_by_name:
            own = self.rich_style
            part = self.get_component_rich_style(f"lines--{name}", partial=True) if name else Style.null()
            self._styles_by_name[name] = own + part
        return self._styles_by_name[name]

    def render_line(self, y: int) -> Strip:
        """One row as Textual wants it."""
        width = self.size.width
        if y >= len(self._cells) or len(self._cells[y]) != width:
            return Strip.blank(width, self._style(""))
        segments: list[Segment] = []
        text, style = "", ""
        for character, name in self._cells[y]:
            if name != style and text:
                segments.append(Segment(text, self._style(style)))
                text = ""
            text, style = text + character, name
        segments.append(Segment(text, self._style(style)))
        return Strip(segments, width)
