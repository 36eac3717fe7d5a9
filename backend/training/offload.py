"""Keep what autograd saves in host memory until the backward pass asks for it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

SMALLEST_BYTES = 2**20


def activations_in_host_memory(*, enabled: bool) -> AbstractContextManager[Any]:
    """Move large saved activations to (pinned) host memory; weights stay where they are."""
    return torch.autograd.graph.saved_tensors_hooks(_to_host, _to_device) if enabled else nullcontext()


def _to_host(tensor: Tensor) -> tuple[torch.device, Tensor]:
    is_weight = isinstance(tensor, Parameter) or isinstance(tensor._base, Parameter)
    if is_weight or tensor.nbytes < SMALLEST_BYTES or tensor.device.type == "cpu":
        return tensor.device, tensor
    host = torch.empty(tensor.size(), dtype=tensor.dtype, pin_memory=True)
    host.copy_(tensor)
    return tensor.device, host


def _to_device(saved: tuple[torch.device, Tensor]) -> Tensor:
    device, tensor = saved
    return tensor.to(device, non_blocking=True)
