"""Optimizer states: created all at once or not at all, and paged again after a resume."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.optim import Optimizer

PAGED = ("state1", "state2")
"""What bitsandbytes keeps in paged memory."""


@contextmanager
def all_or_none(optimizer: Optimizer) -> Iterator[None]:
    """Create missing states, then step within; if either fails, no incomplete state is left behind.

    Optimizers create a parameter's states when they come to it, and take existing ones as complete. A first step that
    runs out of memory would leave some incomplete, and parameters that the repeated step would update twice.
    """
    known = set(optimizer.state)
    try:
        _make(optimizer)
        yield
    except Exception:
        for parameter in set(optimizer.state) - known:
            del optimizer.state[parameter]
        raise


def page_again(optimizer: Optimizer) -> None:
    """Put the states of a paged optimizer back into paged memory: a checkpoint holds plain tensors."""
    if not getattr(optimizer, "is_paged", False):
        return
    for parameter, state in optimizer.state.items():
        for name in PAGED:
            if name in state:
                paged = optimizer.get_state_buffer(parameter, dtype=state[name].dtype)  # type: ignore[attr-defined]
                state[name] = paged.copy_(state[name])


def _make(optimizer: Optimizer) -> None:
    """AdamW's as torch creates them when fused, bitsandbytes' by its own function; Adafactor's come with its step."""
    for number, group in enumerate(optimizer.param_groups):
        for place, parameter in enumerate(group["params"]):
            if parameter.grad is None or optimizer.state.get(parameter):
                continue
            if isinstance(optimizer, torch.optim.AdamW):
                optimizer.state[parameter] = _adamw(parameter)
            elif hasattr(optimizer, "init_state"):
                optimizer.init_state(group, parameter, number, place)


def _adamw(parameter: torch.Tensor) -> dict[str, Any]:
    return {
        "step": torch.zeros((), dtype=torch.float32, device=parameter.device),
        "exp_avg": torch.zeros_like(parameter, memory_format=torch.preserve_format),
        "exp_avg_sq": torch.zeros_like(parameter, memory_format=torch.preserve_format),
    }
