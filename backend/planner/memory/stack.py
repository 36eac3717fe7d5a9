"""How the memory of other training stacks differs from that of this project's trainer.

The planner always predicts the trainer itself (`own`); other stacks describe published runs, so that the same formulas
can be compared with them (tests/bench/memory_published.py).
"""

from __future__ import annotations

from dataclasses import dataclass

from backend.plan.plan import Plan
from backend.planner.device import Device


@dataclass(frozen=True)
class Stack:
    """Differences from the trainer; the defaults describe the trainer."""

    fused_norms: bool = False
    """Norms keep their input as it is; transformers' own keep a float32 copy."""
    wide_residual: bool = False
    """The residual stream is float32 over 16-bit weights, and so is the output of a 4-bit linear layer."""
    repeated_keys: bool = False
    """Keys and values are repeated for all query heads, and the copies are kept."""
    wide_adapter_inputs: bool = False
    """Every adapter keeps a float32 copy of its own input (peft outside of autocast)."""
    swiglu_tensors: int | None = None
    """Tensors of the inner width that a block keeps; None for as many as the trainer's."""
    logits_bytes: float | None = None
    """Bytes for each token and vocabulary entry at the loss's peak; None for the trainer's own loss."""
    logits_forward: float | None = None
    """`logits_bytes` before the backward pass; None if it is the same."""
    narrow_loss: bool = False
    """The loss is computed in 16 bits."""
    narrow_states: bool = False
    """AdamW's moments have the type of the trained weights, as torch's own AdamW keeps them."""
    expandable_segments: bool = True
    """The allocator's segments grow in place, so that cached memory can be reused."""
    fake_tensors: bool = False
    """The step runs on fake tensors, as in a dry run."""
    foreach: bool = False
    """The optimizer step makes one more copy of all that trains, as torch's AdamW does unless it is fused."""


OWN = Stack()
"""The trainer on a GPU that has all of its kernels."""
FAKE = Stack(fake_tensors=True)
"""The trainer in a dry run."""
FLASH_SINCE = (8, 0)
"""The first compute capability whose kernels take grouped keys (backend/training/grouped_keys.py)."""


def own(plan: Plan, device: Device) -> Stack:
    """The trainer on `device`."""
    old = device.compute_capability is not None and device.compute_capability < FLASH_SINCE
    no_grouped = device.kind == "cuda" and plan.attention == "sdpa" and (old or plan.precision == "float32")
    return Stack(repeated_keys=no_grouped, expandable_segments=device.expandable_segments)
