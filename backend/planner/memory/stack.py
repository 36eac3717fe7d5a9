"""What a training stack keeps in memory where it may differ from this project's trainer.

The planner always predicts the trainer itself (`OWN`); others are for the runs that others have published, so that the
same formulas can be held against them (tests/bench/memory_published.py).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Stack:
    """Differences from the trainer, which every field's default describes."""

    fused_norms: bool = False
    """Norms keep their input as it is; transformers' own keep a float32 copy."""
    wide_residual: bool = False
    """The residual stream is float32 over 16-bit weights, and so is what a 4-bit linear makes of it."""
    repeated_keys: bool = False
    """Keys and values are copied to all of the queries' heads, and those copies are kept."""
    wide_adapter_inputs: bool = False
    """Every adapter keeps a float32 copy of its own input (peft outside of autocast)."""
    swiglu_tensors: int | None = None
    """Tensors of the inner width that a block keeps; None for as many as the trainer's."""
    logits_bytes: float | None = None
    """Bytes of a token and vocabulary entry at the loss's peak; None for the trainer's loss, whole or in chunks."""
    narrow_loss: bool = False
    """The loss is computed in 16 bits."""
    narrow_states: bool = False
    """AdamW's moments have the type of what trains: torch's own on 16-bit weights."""
    expandable_segments: bool = True
    """The allocator's segments grow in place, so that what it has cached can be used again."""
    foreach: bool = False
    """The update makes one more copy of all that trains: torch's AdamW that is not fused."""


OWN = Stack()
