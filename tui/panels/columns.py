"""Values of a run aggregated by dot column of a chart, point by point: a run of any length costs the same to draw."""

from __future__ import annotations

from collections.abc import Sequence

FIRST_CAPACITY = 64
_LEAST_HALF, _MOST_HALF = 2, 50
_HALF_PART = 12
"""The window reaches this fraction of the points so far to either side: narrow while a loss falls fast, wide later."""


def capacity_for(step: int, total_steps: int) -> int:
    """The number of steps on the x axis: it doubles as the run continues, but never exceeds the run."""
    capacity = FIRST_CAPACITY
    while capacity < step:
        capacity *= 2
    return max(step, min(capacity, total_steps)) if total_steps else capacity


def half_window(number: int) -> int:
    """How many points the average at point `number` (from 0) takes in on either side of it."""
    return min(_MOST_HALF, max(_LEAST_HALF, number // _HALF_PART))


def average_at(steps: Sequence[int], values: Sequence[float], number: int) -> float:
    """The average of the points around point `number`, which is in their middle where it can be.

    At either end the window can't be centred: there a straight line through its points gives the value, so that the
    average neither runs above a curve that falls nor behind one that rises.
    """
    half = half_window(number)
    first = max(0, min(number - half, len(values) - 2 * half - 1))
    xs, ys = steps[first : first + 2 * half + 1], values[first : first + 2 * half + 1]
    middle, mean = sum(xs) / len(xs), sum(ys) / len(ys)
    away = steps[number] - middle
    if abs(away) < 0.5:
        return mean
    spread = sum((x - middle) ** 2 for x in xs)
    return mean + away * sum((x - middle) * y for x, y in zip(xs, ys, strict=True)) / spread


class Columns:
    """For each dot column the lowest and highest value and the average at its last point; None if it has no point.

    Step 0, before any training, is the first column; the step that fills the capacity is the last one.
    """

    def __init__(self, count: int, capacity: int) -> None:
        self.count = count
        self.capacity = capacity
        self.seen = 0
        self.low: list[float | None] = [None] * count
        self.high: list[float | None] = [None] * count
        self.smooth: list[float | None] = [None] * count
        self.average: float | None = None
        """The average at the last point."""
        self._last: list[int] = [-1] * count
        """Number of the last point in each column."""
        self._open = 0
        """The first column whose average can still change: its window is not full yet."""

    @property
    def window(self) -> int:
        """The number of points in the latest average."""
        return min(self.seen, 2 * half_window(self.seen - 1) + 1)

    def add(self, steps: Sequence[int], values: Sequence[float]) -> None:
        """Add the points that are new since the last call."""
        if self.seen == len(steps):
            return
        for number in range(self.seen, len(steps)):
            self._add_one(number, self.column(steps[number]), values[number])
        self.seen = len(steps)
        self._smooth(steps, values)

    def column(self, step: int) -> int:
        """The dot column of a step."""
        return min(self.count - 1, max(0, round(step * (self.count - 1) / self.capacity)))

    def _add_one(self, number: int, x: int, value: float) -> None:
        low, high = self.low[x], self.high[x]
        self.low[x] = value if low is None else min(low, value)
        self.high[x] = value if high is None else max(high, value)
        self._last[x] = number

    def _smooth(self, steps: Sequence[int], values: Sequence[float]) -> None:
        """Compute the averages again from the first column that new points can change."""
        newest, is_final = self.column(steps[-1]), True
        for x in range(self._open, newest + 1):
            number = self._last[x]
            if number >= 0:
                self.smooth[x] = average_at(steps, values, number)
                is_final = is_final and x < newest and number + half_window(number) < len(values)
            self._open = x + 1 if is_final and x < newest else self._open
        self.average = self.smooth[newest]
