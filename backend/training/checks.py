"""What is found out by trying it on a few tokens, rather than by the model's name."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from backend.planner.plan import Plan
from backend.training import loss
from backend.training.batches import Batch, Row, micro_batches
from backend.training.precision import autocast


@torch.no_grad()
def packs(network: Any, plan: Plan, device: str) -> bool:
    """Rows that share a sequence don't see each other in this model.

    Compares the second of two packed rows with the same row alone; the yardstick is the same row in sight of the first.
    """
    with autocast(plan, device):
        first, second = _tokens(network, 9, device), _tokens(network, 7, device)
        both = torch.cat([first, second], dim=1)
        restart = torch.cat([torch.arange(9), torch.arange(7)]).unsqueeze(0).to(device)
        alone = _logits(network, second, torch.arange(7, device=device).unsqueeze(0))
        packed = _logits(network, both, restart)[:, 9:]
        in_sight = _logits(network, both, torch.arange(16, device=device).unsqueeze(0))[:, 9:]
    return bool((packed - alone).abs().mean() < 0.25 * (in_sight - alone).abs().mean())


def can_chunk(network: Any, plan: Plan, device: str) -> bool:
    """The chunked loss knows this model's head, and what the family does to its logits."""
    with autocast(plan, device):
        return loss.can_chunk(network, some_batch(network, plan, device))


def some_batch(network: Any, plan: Plan, device: str) -> Batch:
    """A dozen tokens to try something with."""
    ids = _tokens(network, 12, "cpu")[0].numpy().astype(np.int32)
    row: Row = (ids, np.ones(len(ids), np.bool_))
    return micro_batches([row], plan, device)[0]


def _tokens(network: Any, count: int, device: str) -> Tensor:
    spread = torch.arange(1, count + 1) * 7919 + count  # any ids will do, as long as they differ
    vocabulary: int = network.get_input_embeddings().num_embeddings
    return (spread % vocabulary).unsqueeze(0).to(device)


def _logits(network: Any, ids: Tensor, positions: Tensor) -> Tensor:
    logits: Tensor = network(input_ids=ids, position_ids=positions, use_cache=False).logits.float()
    return logits
