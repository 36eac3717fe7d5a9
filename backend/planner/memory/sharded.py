"""A full model over several devices (FSDP2): shards of all resident memory, and what is gathered for a while.

Each block is a group of its own; embedding, last norm and head are the root group, which is gathered for the forward
pass and freed at the end of the backward pass. Gathered weights and their gradients have the compute type, so that
autocast makes no copies; gradients are reduced in float32 (pytorch/torch/distributed/fsdp/_fully_shard, torch 2.13).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from backend.model.shape import ModelShape
from backend.plan.plan import Plan
from backend.planner.memory.activations import BatchShape
from backend.planner.memory.elements import FLOAT32, compute_bytes, steps_in_backward, trained_bytes
from backend.planner.memory.stack import OWN, Stack
from backend.planner.memory.states import embedding, update
from backend.planner.memory.step import Parts
from backend.planner.memory.step import peak_points as of_one

GATHERED = 2
"""Blocks that are gathered at once: the one that runs, and the next, which is prefetched."""


def is_sharded(plan: Plan) -> bool:
    """Whether the model is sharded: full fine-tuning over several devices. Adapters are replicated."""
    return plan.method == "full" and plan.processes > 1


def peak_points(shape: ModelShape, plan: Plan, batch: BatchShape, stack: Stack = OWN) -> Mapping[str, Parts]:
    """Peak point (step.py) -> bytes on top of the resident memory on each device, for one device or several.

    `bottom` is the second block's backward pass, the last during which another block is prefetched. The root group's
    gradients stay whole, in the compute type, until the backward pass is done.
    """
    if not is_sharded(plan):
        return of_one(shape, plan, batch, stack)
    width, whole_root, whole_block = compute_bytes(plan), root(shape), block(shape)
    gathered = {"copies": (whole_root + GATHERED * whole_block) * width}
    reduced = {"gradients": whole_block * (width + FLOAT32)}
    blocks = shape.parameters - whole_root
    head = embedding(shape) * width
    changed: dict[str, Parts] = {
        "forward": gathered,
        "loss": {"copies": whole_root * width},
        "top": gathered | {"gradients": reduced["gradients"] + head},
        "bottom": gathered | {"gradients": reduced["gradients"] + head + _shards(blocks - 2 * whole_block, plan)},
        "embedding": {"gradients": _shards(blocks, plan) + whole_root * (width + FLOAT32)},
        "optimizer": {
            "gradients": _shards(shape.parameters, plan),
            "workspace": update(shape, plan, stack) // plan.processes,
        },
        "eval": gathered,
    }
    on_each = of_one(shape, _on_each(plan), batch, stack)
    return {name: {**parts, **changed[name]} for name, parts in on_each.items()}


def root(shape: ModelShape) -> int:
    """Elements of the root group: the embedding, the head unless it is tied, and the last norm."""
    return embedding(shape) * (1 if shape.tied else 2) + shape.hidden


def block(shape: ModelShape) -> int:
    """Elements of one block."""
    return (shape.parameters - root(shape)) // shape.layers


def _shards(elements: int, plan: Plan) -> int:
    """Bytes of a device's shard of reduced gradients; 0 if the optimizer steps in the backward pass."""
    return 0 if steps_in_backward(plan) else elements * trained_bytes(plan) // plan.processes


def _on_each(plan: Plan) -> Plan:
    """The plan as one device runs it: on gathered weights, which have the compute type already."""
    if compute_bytes(plan) == FLOAT32:
        return replace(plan, processes=1)
    return replace(plan, processes=1, precision="bfloat16", weights_dtype="bfloat16")
