"""A y axis that changes rarely: round ticks, and bounds with a margin that are kept while the values fit."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

DOTS_PER_ROW = 4
"""A cell of a chart is four dots high; rows, marks and labels are all rounded to these."""
_ROWS_PER_TICK = 3
_EDGES_PER_TICK = 5
_DECIMALS = 4
"""A label that needs this many decimals has an exponent instead."""
_FILL_WORTH_KEEPING = 0.4
"""If the values fill less than this fraction of the height, the scale is made closer."""


@dataclass(frozen=True)
class Scale:
    """Bounds, and the round distance between labelled values."""

    low: float
    high: float
    tick: float

    @classmethod
    def around(cls, low: float, high: float, rows: int) -> Scale:
        """The closest round scale that holds `low` to `high` in a chart of `rows` lines."""
        span = (high - low) or abs(high) * 0.1 or 0.1
        tick = _round_up(span / max(1.0, rows / _ROWS_PER_TICK))
        edge = tick / _EDGES_PER_TICK
        return cls(math.floor(low / edge - 0.5) * edge, math.ceil(high / edge + 0.5) * edge, tick)

    def kept_for(self, low: float, high: float) -> bool:
        """Whether the values fit, and fill enough of the height."""
        return self.holds(low) and self.holds(high) and (high - low) >= _FILL_WORTH_KEEPING * (self.high - self.low)

    def holds(self, value: float) -> bool:
        """Whether `value` lies between the bounds; a value outside them is not drawn as if it lay at the edge."""
        return self.low <= value <= self.high

    def dot(self, value: float, rows: int) -> int:
        """The dot of `value` in a chart of `rows` lines, counted from the top; the bounds are the outermost dots."""
        part = (self.high - value) / (self.high - self.low)
        last = rows * DOTS_PER_ROW - 1
        return min(last, max(0, round(part * last)))

    def row(self, value: float, rows: int) -> int:
        """The line that has the dot of `value`: marks and labels are where the curve is."""
        return self.dot(value, rows) // DOTS_PER_ROW

    def ticks(self) -> Iterator[float]:
        """The values that have a label, from the top."""
        first, last = math.floor(self.high / self.tick + 1e-9), math.ceil(self.low / self.tick - 1e-9)
        yield from (i * self.tick for i in range(first, last - 1, -1))

    def label(self, value: float) -> str:
        """`value` with as many decimals as the ticks need, in at most six cells: `0.85`, `5e-5`, `160k`."""
        if abs(self.high) >= 1e5:
            return f"{value / 1e3:g}k"
        decimals = max(0, -math.floor(math.log10(self.tick) + 1e-9))
        if decimals < _DECIMALS or not value:
            return f"{value:.{min(decimals, _DECIMALS)}f}"
        factor, _, power = f"{value:.1e}".partition("e")
        return f"{float(factor):g}e{int(power)}"


def _round_up(value: float) -> float:
    """The next of 1, 2, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= value * (1 - 1e-9))
