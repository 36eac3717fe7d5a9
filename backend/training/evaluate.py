"""The loss on held-out rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from backend.data.prepare import Rows
from backend.plan.plan import Plan
from backend.training.batches import micro_batches
from backend.training.loss import Loss
from backend.training.parallel.ranks import ALONE, Ranks
from backend.training.precision import autocast

ROWS_AT_ONCE = 256


@torch.no_grad()
def held_out_loss(
    network: Any,
    loss_of: Loss,
    rows: Rows,
    plan: Plan,
    device: str,
    broken_off: Callable[[], bool],
    *,
    flat: bool,
    ranks: Ranks = ALONE,
) -> float | None:
    """Mean loss of the scored tokens of `rows`, nats; arranged in sequences as in training. None where broken off.

    Each rank takes its share of them, and all know the mean.
    """
    network.eval()
    try:
        total, scored = torch.zeros((), device=device), 0
        for start in range(0, len(rows), ROWS_AT_ONCE):
            some = [rows[i] for i in range(start, min(start + ROWS_AT_ONCE, len(rows)))]
            for batch in micro_batches(some, plan, device, flat=flat, ranks=ranks):
                if broken_off():
                    return None
                with autocast(plan, device):
                    total += loss_of(batch)
                scored += batch.scored
        return float(ranks.sum(total)) / max(1, sum(ranks.all_of(scored)))
    finally:
        network.train()


def perplexity(loss: float) -> float:
    """The number of tokens that the model is torn between, on average; infinite where the loss is beyond floats."""
    return math.exp(loss) if loss < 700 else math.inf
