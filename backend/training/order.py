"""Which rows an optimizer step takes, and how many steps there are. Pure functions of plan, seed and step; no torch."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from backend.planner.plan import Plan

Indices = npt.NDArray[np.int64]


def steps_per_epoch(rows: int, plan: Plan) -> int:
    """Optimizer steps of one pass over `rows` training rows; the last one may hold fewer rows."""
    return math.ceil(rows / plan.effective_batch)


def total_steps(rows: int, plan: Plan) -> int:
    """Optimizer steps of the run."""
    steps = max(1, math.ceil(round(plan.epochs * steps_per_epoch(rows, plan), 6)))
    return min(steps, plan.max_steps) if plan.max_steps else steps


def eval_interval(plan: Plan, total: int) -> int:
    """Steps between evaluations."""
    return plan.eval_every or max(1, round(total / 10))


def save_interval(plan: Plan, total: int) -> int:
    """Steps between checkpoints; a multiple of the evaluations' where both are open, so that the best is known."""
    if plan.save_every:
        return plan.save_every
    return max(1, round(total / 5)) if plan.eval_every else 2 * eval_interval(plan, total)


def times_due(interval: int, after: int, total: int) -> int:
    """How often something due every `interval` steps and at the end is due after step `after`."""
    if after >= total:
        return 0
    return total // interval - after // interval + (total % interval != 0)


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
