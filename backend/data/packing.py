"""Packs rows into sequences with little padding, and balances rows over devices. Pure arithmetic."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence

LENGTHS = 128
"""Sequences are padded to a multiple of this, or to the longest that the plan allows, so that few shapes occur. A new
shape is expensive: cuDNN's attention, which torch takes on Hopper and data-centre Blackwell, builds a plan for each one
(about a second), and a CPU's bf16 kernels are compiled, and kept, for each (14 steps of SmolLM2-135M peak at 1.8 GiB
instead of 2.4, with `PREDICTIONS`)."""
PREDICTIONS = 64
"""The same for the positions whose logits are computed."""


def filled(count: int, unit: int, most: int) -> int:
    """`count` tokens or positions rounded up to a multiple of `unit`, at most to `most`, never below `count`."""
    return max(count, min(most, -(-count // unit) * unit))


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


def balance(lengths: Sequence[int], num_ranks: int) -> list[list[int]]:
    """Indices of rows, one list for each of `num_ranks` devices, of about as many tokens each.

    The longest row first, each to the device with the fewest tokens (within 4/3 of the optimum, Graham 1969).
    """
    balanced: list[list[int]] = [[] for _ in range(num_ranks)]
    tokens = [0] * num_ranks
    for row in sorted(range(len(lengths)), key=lambda row: (-lengths[row], row)):
        hand = tokens.index(min(tokens))
        balanced[hand].append(row)
        tokens[hand] += lengths[row]
    return [sorted(rows) for rows in balanced]
