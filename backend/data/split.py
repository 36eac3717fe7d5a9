"""Which rows are held out for evaluation: the same for the same seed, never a copy of a training row."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from backend.data.constants import constants

ROWS_FOR_ONE = 20
"""From this many rows on, at least one is held out."""


def held_out(groups: npt.ArrayLike, fraction: float, seed: int) -> list[int]:
    """Indices of the held-out rows, ascending; `groups` are equal for rows that stay on one side.

    The choice depends only on the groups' values and the seed, so that it stays the same if rows are reordered or a
    few are added. Empty if `fraction` is 0.
    """
    values, group_of, sizes = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    wanted = count(len(group_of), fraction)
    if not wanted:
        return []
    marks = (blake2b(f"{seed} {value}".encode(), digest_size=8).digest() for value in values)
    order = np.argsort(np.fromiter((int.from_bytes(mark) for mark in marks), np.uint64, len(values)))
    chosen, rows = [], 0
    for group in order[:-1]:  # something always stays to train on
        if rows + sizes[group] <= wanted:
            chosen.append(group)
            rows += sizes[group]
        if rows == wanted:
            break
    return [int(at) for at in np.flatnonzero(np.isin(group_of, chosen))]


def count(rows: int, fraction: float) -> int:
    """How many of `rows` are held out at the most: the fraction, at least one of enough rows, and a limit."""
    if fraction <= 0:
        return 0
    least = 1 if rows >= ROWS_FOR_ONE else 0
    return min(max(round(rows * fraction), least), constants().held_out_rows, max(rows - 1, 0))
