"""Losses that a refactoring must reproduce. They change only if the training itself is meant to change."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.answers import Method
from backend.training.train import train
from tests.backend.training.helpers import ALL, losses, new_run

GOLDEN: dict[Method, list[float]] = {
    "lora": [5.9713, 5.9288, 5.7873, 5.7091, 5.6691, 5.6369, 5.6002, 5.6057, 5.6120, 5.6031],
    "qlora": [5.9777, 5.9356, 5.7914, 5.7129, 5.6710, 5.6365, 5.6018, 5.6066, 5.6134, 5.6052],
    "full": [5.9713, 5.4651, 4.9946, 4.5572, 4.2361, 3.9100, 3.6369, 3.5284, 3.4503, 3.3824],
}


@pytest.mark.parametrize("method", ALL)
def test_golden_losses(method: Method, tiny_model: Path, questions: Path) -> None:
    folder = new_run(tiny_model, questions, method, eval_fraction=0.0)
    assert train(folder) == "done"
    assert list(losses(folder).values()) == pytest.approx(GOLDEN[method], abs=2e-3)
