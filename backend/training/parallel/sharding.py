"""A full model over several devices: each holds a shard of every weight, and gathers one block at a time (FSDP2).

Gradients are summed, not averaged: the loss has been divided by the target tokens of all ranks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor

from backend.training.parallel.execution import Execution
from backend.training.parallel.ranks import Ranks
from backend.training.precision import compute_dtype, weight_dtype


def is_sharded(network: object) -> bool:
    """Each rank holds a part of it: all of them have to run it together."""
    return isinstance(network, FSDPModule)


def shard(network: nn.Module, execution: Execution) -> None:
    """Shard the weights of the first rank's `network` over all ranks' devices; on other ranks it is on the meta device.

    One block at a time is gathered on every device. Weights are kept in the plan's type and gathered in the compute
    type; gradients are summed in float32.
    """
    from transformers.modeling_layers import GradientCheckpointingLayer

    device, ranks = execution.device, execution.ranks
    compute, kept = compute_dtype(execution.plan), weight_dtype(execution.plan)
    policy = MixedPrecisionPolicy(param_dtype=None if compute == kept else compute, reduce_dtype=torch.float32)
    mesh = init_device_mesh(device, (ranks.count,))
    blocks = [module for module in network.modules() if isinstance(module, GradientCheckpointingLayer)]
    for module in (*blocks, network):
        _copy_to_ranks(module, kept, device, ranks)
        # The root too is gathered again for the backward pass: between passes all parameters are shards.
        fully_shard(module, mesh=mesh, mp_policy=policy, reshard_after_forward=True)
        assert isinstance(module, FSDPModule)
        module.set_gradient_divide_factor(1.0)
        module.set_force_sum_reduction_for_comms(True)
        if hasattr(module, "set_reduce_scatter_unused_params"):  # torch 2.13: experts that a rank's rows don't reach
            module.set_reduce_scatter_unused_params(True)


def through_root(network: object, loss: Callable[[Any], Tensor]) -> Callable[[Any], Tensor]:
    """`loss`, which runs parts of `network`, made one of its forward passes: FSDP2 then gathers the head for it."""
    if not isinstance(network, FSDPModule):
        return loss
    root: Any = network
    root.summed_loss = loss
    register_fsdp_forward_method(root, "summed_loss")
    gathered: Callable[[Any], Tensor] = root.summed_loss
    return gathered


def whole(parameter: Tensor) -> Tensor:
    """The unsharded weight, on the device; every rank has to call this."""
    value = parameter.detach()
    if not isinstance(value, DTensor):
        return value
    gathered: Tensor = value.full_tensor()
    return gathered


@torch.no_grad()
def fill(parameter: Tensor, value: Tensor) -> None:
    """Set a weight to `value`, which is unsharded on every rank; each takes its shard of it."""
    if isinstance(parameter, DTensor):
        there = value.to(parameter.device, parameter.dtype)
        part = distribute_tensor(there, parameter.device_mesh, parameter.placements, src_data_rank=None)
        parameter.copy_(part)
    else:
        parameter.copy_(value)


def _copy_to_ranks(module: nn.Module, kept: torch.dtype, device: str, ranks: Ranks) -> None:
    """Give every rank the first one's weights and buffers, unsharded; what is sharded already stays."""
    known: dict[int, nn.Parameter] = {}
    for part in module.modules():
        for name, parameter in part._parameters.items():
            if parameter is not None and not isinstance(parameter, DTensor):
                if id(parameter) not in known:  # tied weights stay one
                    received = nn.Parameter(_broadcast(parameter.data, kept, device, ranks))
                    known[id(parameter)] = known[id(received)] = received
                part._parameters[name] = known[id(parameter)]
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = _broadcast(buffer, ranks.of_first(buffer.dtype), device, ranks)


def _broadcast(value: Tensor, dtype: torch.dtype, device: str, ranks: Ranks) -> Tensor:
    """The first rank's `value` on every rank's device."""
    there = torch.empty(value.shape, dtype=dtype, device=device)
    if ranks.is_first:
        there.copy_(value)
    dist.broadcast(there, src=0)
    return there
