"""torch.compile for a model's blocks, one graph for all of them; the rest runs as it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn

from backend.plan.plan import Plan
from backend.training import loss
from backend.training.batches import Batch
from backend.training.network import Network
from backend.training.parallel.execution import Execution
from backend.training.precision import autocast

BACKEND = "inductor"


def compile_blocks(network: Network, batch: Batch, execution: Execution) -> str | None:
    """Compile the blocks of `network` and run `batch` forward and backward. Returns why that fails, None if it works.

    The run is a test: only then does torch notice that a compiler is missing. The blocks are compiled inside the
    function that recomputes them, so that checkpointing can still be switched. No gradient is left behind.
    """
    from torch._dynamo.exc import TorchDynamoException  # takes a second to import

    for block in _blocks(network):
        block.compile(backend=BACKEND)
    try:
        with autocast(execution.plan, execution.device):
            mean = loss.whole(network)(batch)
        first = next(p for p in network.parameters() if p.requires_grad)
        torch.autograd.grad(mean, first)
    except TorchDynamoException as error:
        for block in _blocks(network):
            block._compiled_call_impl = None
        reason = getattr(error, "inner_exception", error)  # the compiler's own message, without torch's advice
        return str(reason).strip().split("\n")[0][:200]
    return None


def uncompiled(plan: Plan) -> AbstractContextManager[object]:
    """Run compiled blocks uncompiled: each token of an answer would be a new shape to compile for."""
    return torch.compiler.set_stance("force_eager") if plan.compile else nullcontext()


def _blocks(network: Network) -> Iterator[nn.Module]:
    from transformers.modeling_layers import GradientCheckpointingLayer

    return (module for module in network.modules() if isinstance(module, GradientCheckpointingLayer))
