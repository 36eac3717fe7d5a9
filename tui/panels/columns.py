"""Losses aggregated by dot column of a chart, point by point: a run of any length costs the same to draw."""

from __future__ import annotations

from collections.abc import Sequence

FIRST_CAPACITY = 64


def capacity_for(step: int, total_steps: int) -> int:
    """Steps that the x axis spans: doubling as the run continues, and never past its end."""
    capacity = FIRST_CAPACITY
    while capacity < step:
        capacity *= 2
    return max(step, min(capacity, total_steps)) if total_steps else capacity


def smoothing_window(total_steps: int) -> int:
    """Steps in the window of the moving average: a fortieth of the run."""
    return max(4, min(200, total_steps // 40))


class Columns:
    """For each dot column the lowest and highest loss and the moving average at its last step; None if it has no step.

    Step 0, before any training, is the first column; the step that fills the capacity is the last one.
    """

    def __init__(self, count: int, capacity: int, window: int) -> None:
        self.count = count
        self.capacity = capacity
        self.seen = 0
        self.low: list[float | None] = [None] * count
        self.high: list[float | None] = [None] * count
        self.smooth: list[float | None] = [None] * count
        self.average: float | None = None
        self._keep = 1 - 2 / (window + 1)
        self._sum = 0.0
        self._weight = 0.0

    def add(self, steps: Sequence[int], losses: Sequence[float]) -> None:
        """Add the points that are new since the last call."""
        for i in range(self.seen, len(steps)):
            self._add_one(self.column(steps[i]), losses[i])
        self.seen = len(steps)

    def column(self, step: int) -> int:
        """The dot column of a step."""
        return min(self.count - 1, max(0, round(step * (self.count - 1) / self.capacity)))

    def _add_one(self, x: int, loss: float) -> None:
        self._sum = self._keep * self._sum + (1 - self._keep) * loss
        self._weight = self._keep * self._weight + (1 - self._keep)
        self.average = self.smooth[x] = self._sum / self._weight
        low, high = self.low[x], self.high[x]
        self.low[x] = loss if low is None else min(low, loss)
        self.high[x] = loss if high is None else max(high, loss)
