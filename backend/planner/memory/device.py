"""What a device must have beyond tensors of the step: context, the allocator's slack, scratch of the libraries."""

from __future__ import annotations

from backend import constants
from backend.model.shape import ModelShape
from backend.plan.plan import Plan
from backend.planner.device import Device
from backend.planner.memory.elements import FLOAT32, compute_bytes


def workspace(device: Device) -> int:
    """Scratch of cuBLAS."""
    if device.kind != "cuda":
        return 0
    table = constants.memory().cuda
    return table.cublas_hopper if _is_hopper_or_later(device) else table.cublas


def dequantised(shape: ModelShape, plan: Plan) -> int:
    """One weight while NF4 goes backward: in the compute type, and before that its scales in float32."""
    if plan.method != "qlora":
        return 0
    return max((x.weights for x in shape.linears), default=0) * compute_bytes(plan)


def bucket(trained: int) -> int:
    """Where replicas add up their gradients: one bucket of them at a time, in float32."""
    return min(trained * FLOAT32, constants.memory().several.bucket)


def reserve(device: Device, transient: int, unused: int = 0) -> int:
    """What the device must have beyond allocated tensors: context or interpreter, and the allocator's slack.

    `transient` is what comes and goes in a step, in bytes: that is what fragments on a CPU. `unused` is what torch's
    allocator holds of a GPU at the peak and has not handed out.
    """
    if device.kind == "cpu":
        table = constants.memory().cpu
        return int(table.runtime + table.slack * transient)
    cuda = constants.memory().cuda
    return (cuda.context_hopper if _is_hopper_or_later(device) else cuda.context) + unused


def _is_hopper_or_later(device: Device) -> bool:
    return (device.compute_capability or (0, 0)) >= (9, 0)
