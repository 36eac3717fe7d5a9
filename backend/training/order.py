"""Which rows an optimizer step takes: a pure function of plan, seed and step; no torch."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from backend.plan.counts import steps_per_epoch
from backend.plan.plan import Plan

Indices = npt.NDArray[np.int64]


class Order:
    """The rows of every step: each epoch a permutation of its own, by seed and epoch."""

    def __init__(self, rows: int, plan: Plan) -> None:
        self._rows = rows
        self._size = plan.effective_batch
        self._seed = plan.seed
        self._steps = steps_per_epoch(rows, plan)
        self._epoch = -1
        self._permutation: Indices = np.empty(0, np.int64)

    def rows_of(self, step: int) -> Indices:
        """Indices of the rows of `step` (the first is 0)."""
        epoch, within = divmod(step, self._steps)
        if epoch != self._epoch:
            self._epoch = epoch
            self._permutation = np.random.default_rng([self._seed, epoch]).permutation(self._rows)
        return self._permutation[within * self._size : (within + 1) * self._size]

    def epoch(self, steps_done: int) -> float:
        """Passes over the data after so many steps."""
        return steps_done / self._steps
