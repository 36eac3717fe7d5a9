"""The loss on held-out rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

from backend.data.prepare import Rows
from backend.training.batches import micro_batches
from backend.training.loss import Loss
from backend.training.network import Network
from backend.training.parallel.execution import Execution
from backend.training.precision import autocast
from backend.training.preference import PreferenceLoss, preference_batches

ROWS_AT_ONCE = 256


@torch.no_grad()
def held_out_loss(
    network: Network,
    loss_of: Loss | PreferenceLoss,
    rows: Rows,
    execution: Execution,
    broken_off: Callable[[], bool],
    tell: Callable[[int], None] = lambda done: None,
) -> float | None:
    """Mean loss of the target tokens of `rows`, in nats, arranged in sequences as in training; None if broken off.

    Of preferences it is the mean over them. Each rank takes its share of the rows, and all get the mean. `tell` is
    called with about how many rows are done.
    """
    ranks = execution.ranks
    network.eval()
    try:
        total, scored = torch.zeros((), device=execution.device), 0
        for start in range(0, len(rows), ROWS_AT_ONCE):
            some = [rows[i] for i in range(start, min(start + ROWS_AT_ONCE, len(rows)))]
            batches = _arranged(some, execution)
            if isinstance(loss_of, PreferenceLoss):
                loss_of.begin(batches)
            for number, batch in enumerate(batches):
                if broken_off():
                    return None
                tell(start + len(some) * number // len(batches))
                with autocast(execution.plan, execution.device):
                    total += loss_of(batch)
                scored += batch.scored
        return float(ranks.sum(total)) / max(1, sum(ranks.all_of(scored)))
    finally:
        network.train()


def _arranged(rows: Sequence[Any], execution: Execution) -> Sequence[Any]:
    is_preference = execution.plan.objective != "sft"
    return preference_batches(rows, execution) if is_preference else micro_batches(rows, execution)


def perplexity(loss: float) -> float:
    """The number of tokens that the model is torn between, on average; infinite if that is beyond floats."""
    return math.exp(loss) if loss < 700 else math.inf
