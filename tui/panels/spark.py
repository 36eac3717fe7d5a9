"""A line of signs for how a quantity went: for panels that have no room for a chart."""

from __future__ import annotations

from collections.abc import Sequence

from tui.panels.lines import Row

CHART_LINES = 8
"""Lines from which a chart says more than a line of signs."""
_HEIGHTS = "▁▂▃▄▅▆▇█"


def sparkline(label: str, values: Sequence[float], width: int, wide: int) -> Row:
    """`label` in `wide` cells, then the values so far; each sign is the highest value of a number of steps.

    That number doubles as the run continues, so that signs rarely change and a live screen sends little.
    """
    room = width - wide
    if not values or room < 1:
        return ()
    steps = 1
    while steps * room < len(values):
        steps *= 2
    tops = [max(values[i : i + steps]) for i in range(0, len(values), steps)]
    low, high = min(tops), max(tops)
    span = (high - low) or 1.0
    signs = "".join(_HEIGHTS[round((top - low) / span * (len(_HEIGHTS) - 1))] for top in tops)
    return ((f"{label:<{wide}}", "faint"), (signs, "curve"))
