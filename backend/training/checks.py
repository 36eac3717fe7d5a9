"""What is found out by trying it on a few tokens, rather than by the model's name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from backend.plan.plan import Plan
from backend.training import loss
from backend.training.batches import Batch, Row, micro_batches
from backend.training.precision import autocast

LEAK = 1e-3
"""Of what the words before change in plain sight: more than rounding. Recurrent states and convolutions leak 0.001-0.2
of it across packed rows (five families, 2026-11-24); what keeps rows apart leaks nothing, or 1e-6 with experts."""


@torch.no_grad()
def packs(network: Any, plan: Plan, device: str) -> bool:
    """Rows that share a sequence don't see each other in this model: another first row leaves the second as it was."""
    first, other, second = (_tokens(network, count, start, device) for count, start in ((9, 1), (9, 50), (7, 20)))
    apart = torch.cat([torch.arange(9), torch.arange(7)]).unsqueeze(0).to(device)
    in_sight = torch.arange(16).unsqueeze(0).to(device)

    def change(positions: Tensor) -> Tensor:
        one, another = (_logits(network, torch.cat([x, second], dim=1), positions) for x in (first, other))
        return (one - another)[:, 9:].abs().mean()

    with _judging(network), autocast(plan, device):
        return bool(change(apart) < LEAK * change(in_sight))


def can_chunk(network: Any, plan: Plan, device: str) -> bool:
    """The chunked loss knows this model's head, and what the family does to its logits."""
    with _judging(network), autocast(plan, device):
        return loss.can_chunk(network, some_batch(network, plan, device))


def some_batch(network: Any, plan: Plan, device: str) -> Batch:
    """A dozen tokens to try something with."""
    ids = _tokens(network, 12, 1, "cpu")[0].numpy().astype(np.int32)
    row: Row = (ids, np.ones(len(ids), np.bool_))
    return micro_batches([row], plan, device)[0]


@contextmanager
def _judging(network: Any) -> Iterator[None]:
    """Without dropout, which would look like a difference."""
    network.eval()
    try:
        yield
    finally:
        network.train()


def _tokens(network: Any, count: int, start: int, device: str) -> Tensor:
    spread = torch.arange(start, start + count) * 7919  # any ids will do, as long as they differ
    vocabulary: int = network.get_input_embeddings().num_embeddings
    return (spread % vocabulary).unsqueeze(0).to(device)


def _logits(network: Any, ids: Tensor, positions: Tensor) -> Tensor:
    logits: Tensor = network(input_ids=ids, position_ids=positions, use_cache=False).logits.float()
    return logits
