"""Row lengths as a histogram of a few bars."""

from __future__ import annotations

from typing import NamedTuple

from backend.data.report import DataReport

BARS = 10
_NICE = (1, 2, 5)


class Bar(NamedTuple):
    """Rows of `low` to `high` tokens, both included."""

    low: int
    high: int
    rows: int


def histogram(report: DataReport, bars: int = BARS, cut: int | None = None) -> list[Bar]:
    """At most `bars` bars of one round width over 99 % of the rows; the last goes on to the longest row.

    The bar that `cut` falls in is divided there: rows of the bars behind are longer than it.
    """
    if not report.rows:
        return []
    shortest, usual, longest = report.percentile(0), report.percentile(99), report.percentile(100)
    step = _round_step((usual - shortest + 1) / max(1, bars - 2))
    first = shortest // step * step
    edges = list(range(first, usual + 1, step))[: bars - 1]
    lows, highs = edges, [edge + step - 1 for edge in edges]
    if longest > highs[-1]:
        lows, highs = [*lows, highs[-1] + 1], [*highs, longest]
    if cut is not None:
        divided = [cut] if any(low <= cut < high for low, high in zip(lows, highs, strict=True)) else []
        lows, highs = sorted([*lows, *(at + 1 for at in divided)]), sorted([*highs, *divided])
    lengths = report.row_tokens
    return [
        Bar(low, high, int(((lengths >= low) & (lengths <= high)).sum())) for low, high in zip(lows, highs, strict=True)
    ]


def _round_step(least: float) -> int:
    """1, 2 or 5 times a power of ten, at least `least`."""
    power = 1
    while True:
        for nice in _NICE:
            if nice * power >= least:
                return nice * power
        power *= 10
