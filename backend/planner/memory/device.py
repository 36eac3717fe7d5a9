"""What a device must have beyond tensors of the step: context, the allocator's slack, scratch of the libraries."""

from __future__ import annotations

from backend import constants
from backend.model.shape import ModelShape
from backend.plan.plan import Plan
from backend.planner.device import Device
from backend.planner.memory.elements import FLOAT32, compute_bytes


def workspace(device: Device) -> int:
    """Scratch of cuBLAS."""
    return _by_architecture(device, "cublas") if device.kind == "cuda" else 0


def dequantised(shape: ModelShape, plan: Plan) -> int:
    """One weight while NF4 goes backward: in the compute type, and before that its scales in float32."""
    if plan.method != "qlora":
        return 0
    return max((x.weights for x in shape.linears), default=0) * compute_bytes(plan)


def bucket(trained: int) -> int:
    """Where replicas add up their gradients: one bucket of them at a time, in float32."""
    return min(trained * FLOAT32, int(constants.memory()["several"]["bucket"]))


def reserve(device: Device, transient: int, unused: int = 0) -> int:
    """What the device must have beyond allocated tensors: context or interpreter, and the allocator's slack.

    `transient` is what comes and goes in a step, in bytes: that is what fragments on a CPU. `unused` is what torch's
    allocator holds of a GPU at the peak and has not handed out.
    """
    if device.kind == "cpu":
        table = constants.memory()["cpu"]
        return int(table["runtime"] + table["slack"] * transient)
    return _by_architecture(device, "context") + unused


def _by_architecture(device: Device, name: str) -> int:
    table = constants.memory()["cuda"]
    hopper_or_later = (device.compute_capability or (0, 0)) >= (9, 0)
    return int(table[f"{name}_hopper"] if hopper_or_later else table[name])
