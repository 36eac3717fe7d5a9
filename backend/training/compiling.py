"""torch.compile for a model's blocks, one graph for all of them; the rest runs as it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn

from backend.plan.plan import Plan
from backend.training import loss
from backend.training.batches import Batch
from backend.training.precision import autocast

BACKEND = "inductor"


def compile_blocks(network: Any, plan: Plan, batch: Batch, device: str) -> str | None:
    """Compile the blocks of `network`, and run `batch` forward and backward; why it can't be, where it can't.

    It is tried here because compilers are found missing only then. The blocks are compiled inside of what recomputes
    them, so that checkpointing can still be switched. No parameter's gradient is left behind.
    """
    from torch._dynamo.exc import TorchDynamoException  # a second to import: only where it is used

    for block in _blocks(network):
        block.compile(backend=BACKEND)
    try:
        with autocast(plan, device):
            mean = loss.whole(network)(batch)
        first = next(p for p in network.parameters() if p.requires_grad)
        torch.autograd.grad(mean, first)
    except TorchDynamoException as error:
        for block in _blocks(network):
            block._compiled_call_impl = None
        reason = getattr(error, "inner_exception", error)  # what the compiler said, without the advice around it
        return str(reason).strip().split("\n")[0][:200]
    return None


def uncompiled(plan: Plan) -> AbstractContextManager[object]:
    """Run compiled blocks as they were written: an answer's every token would be a new shape to compile for."""
    return torch.compiler.set_stance("force_eager") if plan.compile else nullcontext()


def _blocks(network: Any) -> Iterator[nn.Module]:
    from transformers.modeling_layers import GradientCheckpointingLayer

    return (module for module in network.modules() if isinstance(module, GradientCheckpointingLayer))
