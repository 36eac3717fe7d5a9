"""The axes of a chart over steps: always there, always readable."""

from __future__ import annotations

from tui.panels.lines import Row
from tui.panels.scale import Scale

GUTTER = 7
"""Cells that the y axis takes."""


def y_axis(scale: Scale, height: int) -> list[tuple[Row, bool]]:
    """For each row the axis's own cells, and whether a labelled value lies there."""
    labels = {scale.position(value, height): scale.label(value) for value in scale.ticks()}
    return [
        (((f"{labels.get(y, ''):>{GUTTER - 2}} ", "faint"), ("┤" if y in labels else "│", "frame")), y in labels)
        for y in range(height)
    ]


def x_axis(capacity: int, width: int) -> Row:
    """`0`, the middle and the end of the x axis, in steps."""
    middle, end = f"{capacity // 2:,}", f"{capacity:,} steps"
    left = f"{'0':<{max(1, width // 2 - len(middle) // 2)}}{middle}"
    return ((" " * GUTTER, ""), (f"{left}{end:>{max(0, width - len(left))}}", "faint"))
