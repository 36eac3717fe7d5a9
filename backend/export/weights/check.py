"""Does the merged model answer as base and adapter together? A few tokens through both, on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

ROUNDING = {torch.float32: 1e-3, torch.float16: 0.01, torch.bfloat16: 0.05}
"""Part of the logits' norm that rounding may make: a merged 16-bit matrix is rounded once more than the two apart."""


@dataclass(frozen=True)
class Likeness:
    """Of logits: parts of their norm."""

    difference: float
    """Between the merged model and base with adapter."""
    change: float
    """What the adapter makes of the base's, for comparison."""
    dtype: torch.dtype

    @property
    def is_rounding(self) -> bool:
        """The difference is no more than rounding makes."""
        return self.difference <= ROUNDING.get(self.dtype, 0.05)


@torch.no_grad()
def compare(base: Path, adapter: Path, merged: Path, ids: Sequence[int]) -> Likeness:
    """Logits of `ids` by base, base with adapter, and the merged model; one model is in memory at a time.

    All in the base's own type. For QLoRA too the base is the 16-bit one: it is what was merged into.
    """
    from peft import PeftModel

    tokens = torch.tensor([list(ids)])
    together = PeftModel.from_pretrained(_model(base), adapter).eval()
    wanted = together(input_ids=tokens).logits
    with together.disable_adapter():
        before = together(input_ids=tokens).logits.float()
    del together
    got = _model(merged).eval()(input_ids=tokens).logits
    return Likeness(_part(got.float(), wanted.float()), _part(before, wanted.float()), wanted.dtype)


def _model(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype="auto")


def _part(got: Tensor, wanted: Tensor) -> float:
    return float((got - wanted).norm() / wanted.norm())
