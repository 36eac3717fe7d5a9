"""Rows into sequences: which rows share one, so that little of a sequence is empty. Pure arithmetic."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence


def arrange(lengths: Sequence[int], max_length: int) -> list[list[int]]:
    """Indices of rows, one list a sequence of at most `max_length` tokens, each row in exactly one.

    Best-fit decreasing (within 11/9 of the optimum + 1, Johnson 1974): the longest row first, each into the sequence
    that it fills best. The same lengths always give the same arrangement; sequences come in order of their first row.
    `lengths` are tokens and never more than `max_length`: rows are cut before.
    """
    assert all(length <= max_length for length in lengths), "rows are cut to max_length before they are packed"
    sequences: list[list[int]] = []
    room: list[tuple[int, int]] = []  # (tokens free, index of the sequence), ascending
    for row in sorted(range(len(lengths)), key=lambda row: (-lengths[row], row)):
        at = bisect_left(room, (lengths[row], -1))
        if at == len(room):
            sequences.append([])
            free, index = max_length, len(sequences) - 1
        else:
            free, index = room.pop(at)
        sequences[index].append(row)
        insort(room, (free - lengths[row], index))
    return sorted(sorted(rows) for rows in sequences)
