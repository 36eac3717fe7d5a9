"""If a model has another number of parameters than planned, the run says so."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from backend.plan.job import PeakParts, Prediction, Uncorrected
from backend.training import counted
from backend.training.methods import Loaded

pytestmark = pytest.mark.torch
FEW, MANY = 10_000, 40_000


def loaded(*, adapter: bool) -> Loaded:
    network = nn.Module()
    network.base = nn.Parameter(torch.zeros(MANY), requires_grad=not adapter)
    network.lora = nn.Parameter(torch.zeros(FEW))
    model = nn.Module() if adapter else network
    return Loaded(model=model, network=network, attention="sdpa", stored_dtype=torch.float32)  # type: ignore[arg-type]


def predicted(trainable: int | None, parameters: int = MANY) -> Prediction:
    raw = Uncorrected(parameters, PeakParts(0, 0, 0, 0, 0, 0), 0.0, 0.0)
    return Prediction(1, 1, 1, uncorrected=raw, trainable_parameters=trainable)


@pytest.mark.parametrize(
    ("adapter", "said", "sentence"),
    [
        (True, predicted(FEW), None),
        (True, predicted(FEW + FEW // 200), None),
        (True, predicted(FEW // 2), "the model has 10,000 trainable parameters, and the plan counted 5,000"),
        (True, predicted(FEW, 2 * MANY), "the model has 40,000 parameters, and the plan counted 80,000"),
        (True, predicted(None), None),
        (False, predicted(MANY + FEW, MANY + FEW), None),
        (False, predicted(None, MANY), "the model has 50,000 parameters"),
        (False, None, None),
    ],
)
def test_it_is_said_if_they_differ_by_more_than_a_little(
    adapter: bool, said: Prediction | None, sentence: str | None
) -> None:
    found = counted.difference(loaded(adapter=adapter), said)
    assert found is None if sentence is None else sentence in str(found)


def test_a_matrix_in_four_bits_counts_as_what_it_stands_for() -> None:
    packed = nn.Parameter(torch.zeros(32, 1, dtype=torch.uint8), requires_grad=False)
    packed.quant_state = type("State", (), {"shape": (8, 8)})()  # type: ignore[attr-defined]
    assert counted._elements(packed) == 64
