"""Memory besides a step's tensors: the CUDA context, the allocator's slack, workspaces of libraries."""

from __future__ import annotations

from backend import constants
from backend.model.shape import ModelShape
from backend.plan.plan import Plan
from backend.planner.device import Device
from backend.planner.memory.elements import FLOAT32, compute_bytes


def workspace(device: Device) -> int:
    """Bytes of the cuBLAS workspaces."""
    if device.kind != "cuda":
        return 0
    table = constants.memory().cuda
    return table.cublas_hopper if _is_hopper_or_later(device) else table.cublas


def dequantised(shape: ModelShape, plan: Plan) -> int:
    """Bytes of the largest weight that NF4 dequantises for the backward pass, in the compute type."""
    if plan.method != "qlora":
        return 0
    return max((x.weights for x in shape.linears), default=0) * compute_bytes(plan)


def bucket(trained: int) -> int:
    """Bytes of the buffer in which replicas reduce gradients: one bucket at a time, in float32."""
    return min(trained * FLOAT32, constants.memory().several.bucket)


def reserve(device: Device, transient: int, unused: int = 0) -> int:
    """Bytes besides allocated tensors: the CUDA context or the interpreter, and the allocator's slack.

    `transient`: bytes that are allocated and freed in a step; on a CPU the slack follows from them. `unused`: bytes
    that torch's allocator has reserved on a GPU at the peak and not allocated.
    """
    if device.kind == "cpu":
        table = constants.memory().cpu
        return int(table.runtime + table.slack * transient)
    cuda = constants.memory().cuda
    return (cuda.context_hopper if _is_hopper_or_later(device) else cuda.context) + unused


def _is_hopper_or_later(device: Device) -> bool:
    return (device.compute_capability or (0, 0)) >= (9, 0)
