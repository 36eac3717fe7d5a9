"""Which rows are held out for evaluation: the same for the same seed, and never a copy of a training row."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from hashlib import blake2b

from backend.data.constants import constants

ROWS_FOR_ONE = 20
"""From this many rows on, at least one is held out."""


def held_out(digests: Sequence[str], fraction: float, seed: int) -> list[int]:
    """Indices of the held-out rows, ascending; `digests` are equal for rows of equal content.

    Rows of equal content go to one side together. The choice hangs on content and seed alone, so that it stays when
    rows are reordered or a few are added. None with `fraction` 0.
    """
    wanted = count(len(digests), fraction)
    groups: dict[str, list[int]] = defaultdict(list)
    for index, digest in enumerate(digests):
        groups[digest].append(index)
    order = sorted(groups, key=lambda digest: blake2b(f"{seed} {digest}".encode(), digest_size=8).digest())
    chosen: list[int] = []
    for digest in order[:-1]:  # something always stays to train on
        if len(chosen) + len(groups[digest]) <= wanted:
            chosen += groups[digest]
        if len(chosen) == wanted:
            break
    return sorted(chosen)


def count(rows: int, fraction: float) -> int:
    """How many of `rows` are held out at the most: the fraction, at least one of enough rows, and a limit."""
    if fraction <= 0:
        return 0
    least = 1 if rows >= ROWS_FOR_ONE else 0
    return min(max(round(rows * fraction), least), constants().held_out_rows, max(rows - 1, 0))
