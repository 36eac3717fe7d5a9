"""The hint about packed rows is only a speed-up: without it, or in another transformers, the losses are the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import masking_utils

from backend.training import packed_rows
from backend.training.batches import micro_batches
from backend.training.loss import whole
from backend.training.parallel.execution import Execution
from tests.backend.training.helpers import loaded, plan, random_rows

Find = Callable[..., Tensor | None]
OTHERS: dict[str, Find | None] = {
    "gone": None,
    "other arguments": lambda position_ids, mask: None,
    "another answer": lambda position_ids: position_ids,
    "none for one row no more": lambda position_ids: packed_rows._row_numbers(position_ids),
}


def test_the_installed_transformers_takes_the_hint() -> None:
    assert packed_rows._original is masking_utils.find_packed_sequence_indices


@pytest.mark.parametrize("other", OTHERS)
def test_a_transformers_that_has_changed_gets_no_hint(other: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masking_utils, packed_rows.NAME, OTHERS[other])
    assert packed_rows.replaceable() is None


def test_losses_are_the_same_without_the_hint(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = plan("lora")
    network = loaded(tiny_model, settings).network.eval()
    batches = micro_batches(random_rows(12), Execution(settings, "cpu"))
    assert any(batch.packed for batch in batches)

    def losses() -> list[float]:
        with torch.no_grad():
            return [float(whole(network)(batch)) for batch in batches]

    hinted = losses()
    monkeypatch.setattr(packed_rows, "_original", None)
    assert losses() == hinted
