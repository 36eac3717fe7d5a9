from __future__ import annotations

import numpy as np
import pytest
import torch

from backend.plan.plan import Plan
from backend.training.batches import IGNORED, Row, micro_batches
from backend.training.parallel.execution import Execution
from tests.backend.training.helpers import random_rows


def row(ids: list[int], scored: list[int]) -> Row:
    return np.array(ids, np.int32), np.array(scored, np.bool_)


def test_a_packed_sequence_restarts_and_never_predicts_across_rows() -> None:
    rows = [row([10, 11, 12], [0, 1, 1]), row([20, 21], [1, 1])]  # a scored first token has nothing before it
    (batch,) = micro_batches(rows, Execution(Plan(max_length=5), "cpu"))
    assert batch.input_ids.tolist() == [[10, 11, 12, 20, 21]]
    assert batch.position_ids.tolist() == [[0, 1, 2, 0, 1]]
    assert batch.predict.tolist() == [[0, 1, 3, 0, 0]]
    assert batch.targets.tolist() == [[11, 12, 21, IGNORED, IGNORED]]
    assert (batch.tokens, batch.scored) == (5, 3)


def test_padding_counts_on_and_is_not_scored() -> None:
    rows = [row([10, 11, 12, 13], [0, 0, 1, 1]), row([20, 21], [0, 1])]
    (batch,) = micro_batches(rows, Execution(Plan(max_length=4, packing=False, micro_batch=2), "cpu"))
    assert batch.input_ids.tolist() == [[20, 21, 0, 0], [10, 11, 12, 13]]
    assert batch.position_ids.tolist() == [[0, 1, 2, 3], [0, 1, 2, 3]]
    assert batch.targets[:, :2].tolist() == [[21, IGNORED], [12, 13]]
    assert (batch.targets[:, 2:] == IGNORED).all()
    assert (batch.tokens, batch.scored) == (6, 3)


def test_flat_sequences_lie_one_behind_the_other() -> None:
    rows = [row([10, 11, 12], [0, 0, 1]), row([20, 21], [0, 1])]
    (batch,) = micro_batches(rows, Execution(Plan(packing=False, micro_batch=2), "cpu", flat=True))
    assert batch.input_ids.shape == (1, 128)
    assert batch.input_ids[0, :5].tolist() == [20, 21, 10, 11, 12]
    assert batch.position_ids[0, :7].tolist() == [0, 1, 0, 1, 2, 3, 4]
    assert batch.predict[0, :2].tolist() == [0, 3]
    assert batch.targets[0, :2].tolist() == [21, 12]
    assert (batch.targets[0, 2:] == IGNORED).all()
    assert batch.starts is not None
    assert batch.starts.tolist() == [0, 2, 128]  # the padding is the end of the last row
    assert batch.longest == 126


def test_flat_sequences_come_in_few_sizes() -> None:
    plan = Plan(packing=False, micro_batch=2, max_length=300)
    rows = [row(list(range(size)), [1] * size) for size in (100, 130)]
    (batch,) = micro_batches(rows, Execution(plan, "cpu", flat=True))
    assert batch.input_ids.shape == (1, 256)
    (batch,) = micro_batches([rows[0], row([1] * 300, [1] * 300)], Execution(plan, "cpu", flat=True))
    assert batch.input_ids.shape == (1, 512)


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_lengths_come_in_few_sizes_on_every_device(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: self)  # needs a GPU
    batches = [
        micro_batches([row(list(range(size)), [1] * size)], Execution(Plan(max_length=300), device))[0]
        for size in (5, 100, 128, 129, 250, 290, 300)
    ]
    assert {batch.input_ids.shape[1] for batch in batches} == {128, 256, 300}
    assert {batch.predict.shape[1] for batch in batches} == {64, 128, 256, 300}


def test_every_arrangement_holds_the_same_targets() -> None:
    rows = random_rows(24)
    expected = sorted(int(token) for ids, scored in rows for token in ids[1:][scored[1:]])
    for packing in (True, False):
        for micro in (1, 3, 24):
            batches = micro_batches(rows, Execution(Plan(max_length=64, packing=packing, micro_batch=micro), "cpu"))
            found = [int(t) for batch in batches for t in batch.targets.flatten() if t != IGNORED]
            assert sorted(found) == expected
            assert sum(batch.scored for batch in batches) == len(expected)
            assert max(batch.input_ids.shape[1] for batch in batches) <= 64


def test_a_row_with_nothing_to_score_makes_a_batch_without_targets() -> None:
    (batch,) = micro_batches([row([1, 2, 3], [0, 0, 0])], Execution(Plan(), "cpu"))
    assert batch.scored == 0
    assert (batch.targets == IGNORED).all()
