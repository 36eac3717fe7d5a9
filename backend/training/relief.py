"""Recovery when memory runs out: free what can be freed, choose the next cheaper setting, and try again."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import torch

from backend.plan.plan import Plan
from backend.run.events import OutOfMemory, PlanChanges
from backend.training.failure import is_out_of_memory
from backend.training.parallel.ranks import ALONE, Ranks
from backend.training.report import Report

Value = TypeVar("Value")
LOADING = "loading the model"


class RanOut(Exception):
    """Memory ran out on one of several ranks: all of them are restarted (backend/launch/several.py)."""

    def __init__(self, during: str, step: int, reason: str) -> None:
        super().__init__(f"out of memory in {during}: {reason}")
        self.during, self.step = during, step


def free() -> None:
    """Free unreferenced tensors, and empty the CUDA allocator's cache."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def give_back() -> None:
    """Return the memory of a run that is over to the device and the system: the process lives on with the screen.

    glibc keeps what was freed; the next run of this process would be measured with it.
    """
    free()
    trim_heap()


def trim_heap() -> None:
    """Return freed memory that glibc keeps to the system: scattered between tensors it would be used badly."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it, other C libraries don't
    if trim is not None:
        trim(0)


def attempt(
    action: Callable[[], Value], report: Report, step: int, during: str, ranks: Ranks = ALONE
) -> tuple[Value] | None:
    """The result of `action`, in a tuple. If memory runs out: None, after writing an `oom` event and freeing memory.

    With several ranks raises RanOut: none can try again alone while the others wait for it.
    """
    try:
        return (action(),)
    except (RuntimeError, MemoryError, OSError) as error:
        if not is_out_of_memory(error):
            raise
        reason = str(error).split("\n")[0][:200] or type(error).__name__
        if ranks.count > 1:
            raise RanOut(during, step, reason) from error
    report.event(OutOfMemory(step=step, during=during, text=f"out of memory in {during}: {reason}"))
    free()  # outside of `except`: the traceback would keep the tensors alive
    return None


def twice(
    action: Callable[[], Value], report: Report, step: int, during: str, ranks: Ranks = ALONE
) -> tuple[Value] | None:
    """`attempt`, and once more if memory ran out: the first attempt has freed what could be freed."""
    return attempt(action, report, step, during, ranks) or attempt(action, report, step, during, ranks)


def cheaper(plan: Plan, *, can_chunk: bool, can_offload: bool) -> tuple[Plan, str] | None:
    """The same training with a lower peak in a step, and what changed; None if nothing is left to change.

    The effective batch stays, so that the update is the same. What costs the least time comes first.
    """
    if plan.micro_batch > 1:
        half = plan.micro_batch // 2
        return replace(plan, micro_batch=half), f"micro-batch {plan.micro_batch} -> {half}"
    if not plan.chunked_loss and can_chunk:
        return replace(plan, chunked_loss=True), "loss computed in chunks"
    if not plan.checkpointing:
        return replace(plan, checkpointing=True), "activations recomputed in the backward pass"
    if can_offload and not plan.activation_offload:
        return replace(plan, activation_offload=True), "checkpointed activations in host memory"
    if plan.packing:
        return replace(plan, packing=False), "one row in each sequence"
    return None


def leaner_weights(plan: Plan) -> tuple[Plan, str] | None:
    """The same training with smaller weights, and what changed; None if they can't be smaller."""
    if plan.method == "full" and plan.precision == "bfloat16" and plan.weights_dtype == "float32":
        return replace(plan, weights_dtype="bfloat16"), "weights kept in bfloat16, rounded stochastically"
    return None


def changes(before: Plan, after: Plan) -> PlanChanges:
    """The plan fields that differ, with their new values."""
    return {name: value for name, value in vars(after).items() if value != vars(before)[name]}
