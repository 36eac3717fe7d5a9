"""The number formats of a run: what is computed in, what trainable weights are kept in, and the loss scale."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from backend.plan.plan import Plan


def compute_dtype(plan: Plan) -> torch.dtype:
    """What matrix products run in; a frozen base is kept in it."""
    dtype = getattr(torch, plan.precision)
    assert isinstance(dtype, torch.dtype)
    return dtype


def weight_dtype(plan: Plan) -> torch.dtype:
    """What the base is loaded in; for `full`, what its weights are kept in between steps."""
    return _trained_in(plan, plan.weights_dtype) if plan.method == "full" else compute_dtype(plan)


def adapter_dtype(plan: Plan) -> torch.dtype:
    """What adapters are kept in between steps."""
    return _trained_in(plan, plan.adapter_dtype)


def _trained_in(plan: Plan, wanted: str) -> torch.dtype:
    """bfloat16 only if products run in it too: float32 products and float16's loss scaler need float32 weights."""
    return torch.bfloat16 if wanted == plan.precision == "bfloat16" else torch.float32


@contextmanager
def autocast(plan: Plan, device: str) -> Iterator[None]:
    """16-bit products over float32 trainable weights; nothing at all in float32."""
    dtype = compute_dtype(plan)
    with torch.autocast(device, dtype=dtype, enabled=dtype != torch.float32):
        yield


def gradient_scaler(plan: Plan, device: str) -> torch.amp.GradScaler | None:
    """float16 has too little range for gradients: scale the loss, and unscale before the update."""
    return torch.amp.GradScaler(device) if plan.precision == "float16" else None
