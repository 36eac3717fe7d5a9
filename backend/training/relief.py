"""Out of memory is a detour: free what can be freed, choose the next cheaper setting, and do it again."""

from __future__ import annotations

import gc
from dataclasses import replace

import torch

from backend.planner.plan import Plan

SIGNS = ("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory", "alloc_failed")


def is_out_of_memory(error: BaseException) -> bool:
    """An allocation failed, on the device or in host memory."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in SIGNS)


def free() -> None:
    """Give back what nothing refers to any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def cheaper(plan: Plan, *, can_chunk: bool, can_offload: bool) -> tuple[Plan, str] | None:
    """The same training with a lower peak, and what changed; None where nothing is left.

    The effective batch stays: the update is the same. In order of what it costs in time.
    """
    if plan.micro_batch > 1:
        half = plan.micro_batch // 2
        return replace(plan, micro_batch=half), f"micro-batch {plan.micro_batch} -> {half}"
    if not plan.chunked_loss and can_chunk:
        return replace(plan, chunked_loss=True), "loss worked out in chunks"
    if not plan.checkpointing:
        return replace(plan, checkpointing=True), "activations recomputed in the backward pass"
    if can_offload and not plan.activation_offload:
        return replace(plan, activation_offload=True), "checkpointed activations in host memory"
    if plan.packing:
        return replace(plan, packing=False), "one row in each sequence"
    return None
