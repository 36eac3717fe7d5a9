"""One optimizer step's forward and backward passes; what the dry run measures is this same function."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from backend.training.loss import Loss
from backend.training.optim.optimizers import Updater
from backend.training.parallel.execution import Execution
from backend.training.precision import autocast
from backend.training.preference import PreferenceLoss


def forward_backward(
    loss_of: Loss | PreferenceLoss,
    batches: Sequence[Any],
    updater: Updater,
    execution: Execution,
    scored: int | None = None,
) -> Tensor:
    """Run the micro-batches of one effective batch. Returns the mean loss of its target tokens, on the device.

    Every micro-batch's sum is divided by the target tokens of the WHOLE effective batch, so that 1x8, 2x4 and 8x1,
    packed or not, make the same update. `scored` is their number if other ranks have some of them; the result is then
    this rank's part of the mean.
    """
    scored = max(1, sum(batch.scored for batch in batches) if scored is None else scored)
    total = torch.zeros((), device=execution.device)
    if isinstance(loss_of, PreferenceLoss):
        loss_of.begin(batches)
    for number, batch in enumerate(batches, start=1):
        with autocast(execution.plan, execution.device):
            loss = _nan_if_nonfinite(loss_of(batch) / scored)
        updater.backward(loss, last=number == len(batches))
        total += loss.detach()
    return total


def _nan_if_nonfinite(loss: Tensor) -> Tensor:
    """An infinite loss can have a finite gradient; NaN has none, so that the update is skipped."""
    return loss * torch.where(torch.isfinite(loss), 1.0, torch.nan)
