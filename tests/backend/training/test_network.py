"""Differences in how model families are called."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from backend.training import network

pytestmark = pytest.mark.torch
IDS = torch.arange(10).reshape(2, 5)
POSITIONS = torch.tensor([[0, 3, 4], [1, 2, 2]])


class Whole(nn.Module):
    """A family that always computes all logits, such as xLSTM."""

    def forward(self, input_ids: torch.Tensor, **others: Any) -> Any:
        return SimpleNamespace(logits=input_ids[..., None] * torch.ones(7))


class Kept(nn.Module):
    """Most families."""

    def forward(self, input_ids: torch.Tensor, logits_to_keep: torch.Tensor) -> Any:
        whole = input_ids[..., None] * torch.ones(7)
        return SimpleNamespace(logits=torch.take_along_dim(whole, logits_to_keep[..., None], dim=1))


@pytest.mark.parametrize("positions", [POSITIONS, torch.tensor([[0, 1, 2, 3, 4], [1, 2, 3, 0, 0]])])
@pytest.mark.parametrize("kind", [Whole, Kept])
def test_logits_of_some_positions(kind: type[nn.Module], positions: torch.Tensor) -> None:
    model: Any = kind()
    found = network.logits_of(model, positions, input_ids=IDS)
    assert found[..., 0].tolist() == torch.take_along_dim(IDS, positions, dim=1).tolist()


def test_a_head_that_is_called_decoder_is_not_the_blocks() -> None:
    head, blocks = nn.Linear(2, 2), nn.Linear(3, 3)
    odd: Any = SimpleNamespace(get_decoder=lambda: head, get_output_embeddings=lambda: head, base_model=blocks)
    usual: Any = SimpleNamespace(get_decoder=lambda: blocks, get_output_embeddings=lambda: head, base_model=None)
    assert network.decoder(odd) is network.decoder(usual) is blocks
