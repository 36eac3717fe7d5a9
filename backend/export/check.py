"""Checks that the merged model computes the same as base and adapter: a few tokens through both, on the CPU."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from backend.model import stored
from backend.training import auto

ROUNDING = {torch.float32: 1e-3, torch.float16: 0.005, torch.bfloat16: 0.04}
"""Relative error of the logits (by norm) that rounding each merged matrix to this type may cause, in float32.

Measured for a LoRA of rank 16 on SmolLM2-135M: 0.0126 in bfloat16, 0.0013 in float16, 2026-11-24.
"""
COMPUTED = 4.0
"""ROUNDING is multiplied by this if the computation is in 16 bits too (measured on the same: 0.033 and 0.0043)."""


@dataclass(frozen=True)
class Likeness:
    """Differences of logits, relative to their norm."""

    difference: float
    """Between the merged model and the base with adapter."""
    change: float
    """Between the base with and without adapter, for comparison."""
    stored: torch.dtype
    computed: torch.dtype

    @property
    def is_rounding(self) -> bool:
        """Whether the difference is within rounding, and far below what a missing adapter would make."""
        most = ROUNDING.get(self.stored, ROUNDING[torch.bfloat16])
        most *= 1.0 if self.computed == torch.float32 else COMPUTED
        return self.difference <= (min(most, self.change / 2) if self.change > most else most)


@torch.no_grad()
def compare(base: Path, adapter: Path, merged: Path, ids: Sequence[int], *, in_float32: bool = True) -> Likeness:
    """Logits of `ids` by base, base with adapter, and the merged model; one model is in memory at a time.

    Computed in float32, which takes 4 bytes a parameter, or in the base's own type. For QLoRA too the base is the
    16-bit one: it is what was merged into.
    """
    from peft import PeftModel

    tokens = torch.tensor([list(ids)])
    dtype = torch.float32 if in_float32 else getattr(torch, stored.dtype(base))
    together = PeftModel.from_pretrained(_model(base, dtype), adapter).eval()
    wanted = together(input_ids=tokens).logits
    with together.disable_adapter():
        before = together(input_ids=tokens).logits.float()
    del together
    gc.collect()
    got = _model(merged, dtype).eval()(input_ids=tokens).logits
    kept = getattr(torch, stored.dtype(merged))
    return Likeness(_part(got.float(), wanted.float()), _part(before, wanted.float()), kept, wanted.dtype)


def _model(folder: Path, dtype: torch.dtype) -> Any:
    return auto.load(folder, dtype=dtype)


def _part(got: Tensor, wanted: Tensor) -> float:
    return float((got - wanted).norm() / wanted.norm())
