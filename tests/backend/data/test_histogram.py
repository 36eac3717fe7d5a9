"""Row lengths as bars: round edges, every row once, a border where rows are cut."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from backend.data.histogram import histogram
from backend.data.report import DataReport


def report(*lengths: int) -> DataReport:
    tokens = np.array(lengths, dtype=np.int64)
    return DataReport("x", "text", {}, (), tokens, tokens, tokens)


@pytest.mark.parametrize("seed", range(5))
def test_every_row_is_in_one_bar(seed: int) -> None:
    lengths = np.random.default_rng(seed).lognormal(5, 1, 500).astype(int) + 1
    bars = histogram(report(*lengths.tolist()), 8, 300)
    assert len(bars) <= 9 and sum(bar.rows for bar in bars) == 500
    assert all(one.high + 1 == other.low for one, other in pairwise(bars))
    assert sum(bar.rows for bar in bars if bar.low > 300) == (lengths > 300).sum()


def test_edges_are_round_and_few_lengths_make_few_bars() -> None:
    assert histogram(report(100, 100, 100)) == [(100, 100, 3)]
    bars = histogram(report(*range(1000)), 10)
    assert [(bar.low, bar.high) for bar in bars][:2] == [(0, 199), (200, 399)] and bars[-1].rows == 200
    assert histogram(report()) == []
