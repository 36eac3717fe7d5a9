"""How sure a change of the loss is: a bootstrap over the examples, whose tokens are not independent of each other."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from backend import constants

Floats = npt.NDArray[np.float64]
_SEED = 1234
"""Seed of a separate generator: the generators of training are never drawn from."""


def of_change(now: Floats, base: Floats, examples: npt.NDArray[np.int64]) -> tuple[float, float] | None:
    """The interval of sum(now) / sum(base) - 1, for the summed losses of rows; None if there are too few examples."""
    table = constants.forgetting().interval
    _, of_row = np.unique(examples, return_inverse=True)
    count = int(of_row.max()) + 1 if len(of_row) else 0
    if count < table.least_examples:
        return None
    per_example = np.stack([np.bincount(of_row, values, count) for values in (now, base)])
    drawn = np.random.default_rng(_SEED).integers(0, count, (table.resamples, count))
    sums = per_example[:, drawn].sum(axis=2)
    tail = 50 * (1 - table.confidence)
    low, high = np.percentile(sums[0] / sums[1] - 1, [tail, 100 - tail])
    return float(low), float(high)
