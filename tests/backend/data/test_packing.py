from __future__ import annotations

import numpy as np
import pytest

from backend.data.packing import arrange


def test_nothing_makes_no_sequence() -> None:
    assert arrange([], 8) == []


def test_the_best_fit_is_taken() -> None:
    assert arrange([3, 5, 6, 2], 8) == [[0, 1], [2, 3]]
    assert arrange([8, 8], 8) == [[0], [1]]
    assert arrange([4, 3, 4, 5], 8) == [[0, 2], [1, 3]]


@pytest.mark.parametrize("seed", range(5))
def test_every_row_stands_in_one_sequence_that_holds_it(seed: int) -> None:
    lengths = np.random.default_rng(seed).integers(1, 513, size=300).tolist()
    sequences = arrange(lengths, 512)
    assert sorted(row for rows in sequences for row in rows) == list(range(300))
    assert all(sum(lengths[row] for row in rows) <= 512 for rows in sequences)
    assert len(sequences) <= -(-sum(lengths) // 512) * 11 / 9 + 1
    assert arrange(lengths, 512) == sequences
