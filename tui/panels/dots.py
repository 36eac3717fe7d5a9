"""Braille dots: what a chart is drawn with, two by four of them a cell."""

from __future__ import annotations

from collections.abc import Sequence

from tui.panels.scale import DOTS_PER_ROW, Scale

Grid = list[dict[int, int]]
"""For each row the columns that have dots, with these as bits of a braille pattern."""
_DOT = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))


def sign(dots: int) -> str:
    """The braille character of a cell."""
    return chr(0x2800 + dots)


def ranges(lows: Sequence[float | None], highs: Sequence[float | None], scale: Scale, height: int) -> Grid:
    """Each column's range as a vertical bar, single dots if there are few values; what is beyond the scale has none."""
    grid: Grid = [{} for _ in range(height)]
    for x, (low, high) in enumerate(zip(lows, highs, strict=True)):
        if low is not None and high is not None and high >= scale.low and low <= scale.high:
            _vertical(grid, x, scale.dot(high, height), scale.dot(low, height))
    return grid


def line(values: Sequence[float | None], scale: Scale, height: int) -> Grid:
    """A connected line through the columns that have a value."""
    grid: Grid = [{} for _ in range(height)]
    before: tuple[int, int] | None = None
    for x, value in enumerate(values):
        if value is None:
            continue
        y = scale.dot(value, height)
        _segment(grid, before or (x, y), (x, y))
        before = (x, y)
    return grid


def _segment(grid: Grid, start: tuple[int, int], end: tuple[int, int]) -> None:
    (x0, y0), (x1, y1) = start, end
    last = y0
    for x in range(x0, x1 + 1):
        y = round(y0 + (y1 - y0) * (x - x0) / (x1 - x0)) if x1 > x0 else y1
        _vertical(grid, x, min(last, y), max(last, y))
        last = y


def _vertical(grid: Grid, x: int, first: int, last: int) -> None:
    cell, side = x // 2, x % 2
    for dot in range(first, last + 1):
        row = grid[dot // DOTS_PER_ROW]
        row[cell] = row.get(cell, 0) | _DOT[dot % DOTS_PER_ROW][side]
