"""The axes of a chart over steps: always there, always readable."""

from __future__ import annotations

from tui.panels.lines import Row
from tui.panels.scale import Scale

GUTTER = 8
"""Cells that the y axis takes."""


def y_axis(scale: Scale, height: int) -> list[tuple[Row, bool]]:
    """For each row: the cells of the axis, and whether the row has a label."""
    labels = {scale.row(value, height): scale.label(value) for value in scale.ticks()}
    return [
        (((f"{labels.get(y, ''):>{GUTTER - 2}} ", "faint"), ("┤" if y in labels else "│", "frame")), y in labels)
        for y in range(height)
    ]


def x_axis(capacity: int, width: int) -> Row:
    """Labels of steps: `0`, the last one, and one in the middle if it is a whole step and there is room for it."""
    end = f"{capacity:,} steps"
    if len(end) + 2 > width:
        end = f"{capacity:,}"
    half = capacity // 2
    middle = f"{half:,}"
    at = round(half * (width - 1) / capacity) - len(middle) // 2
    left = "0" if len(end) + 2 <= width else ""
    if half and at > 1 and at + len(middle) + 1 <= width - len(end):
        left = f"{left:<{at}}{middle}"
    return ((" " * GUTTER, ""), (f"{left}{end:>{max(0, width - len(left))}}", "faint"))
