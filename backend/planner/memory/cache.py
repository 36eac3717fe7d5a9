"""What torch's caching allocator reserves beyond what is allocated: cached blocks that cannot be used at the peak."""

from __future__ import annotations

from collections.abc import Mapping

from backend import constants
from backend.model.shape import ModelShape
from backend.plan.plan import Plan
from backend.planner.memory.activations import BatchShape
from backend.planner.memory.elements import FLOAT32, SIXTEEN_BIT, compute_bytes, trained_bytes
from backend.planner.memory.stack import OWN, Stack
from backend.planner.memory.states import embedding
from backend.planner.memory.step import Parts


def unused(shape: ModelShape, plan: Plan, batch: BatchShape, points: Mapping[str, Parts], stack: Stack = OWN) -> int:
    """Bytes that are reserved and not allocated at the peak of a step, by presets/memory.toml.

    With whole logits the cache holds each of the loss's large blocks once, since a freed one is split up for smaller
    ones. It also holds a share of what another peak point needed and this one does not: a smaller share without
    checkpointing, since activations are then freed block by block and gradients take their place. Over several devices
    growing segments keep a part of that.
    """
    sharded = plan.processes > 1 and plan.method == "full"
    if stack.expandable_segments and not sharded:
        return _growing(shape, plan, batch, points)
    table = constants.memory().cuda
    held = {name: dict(parts) for name, parts in points.items()}
    if not plan.chunked_loss:
        held["loss"]["logits"] = max(held["loss"]["logits"], _loss_blocks(shape, plan, batch, stack))
    most = max(sum(parts.values()) + _share(plan) * _elsewhere(held, parts) for parts in held.values())
    left = most - max(sum(parts.values()) for parts in points.values())
    return int(left * (table.cached_expandable if stack.expandable_segments else 1.0))


def _growing(shape: ModelShape, plan: Plan, batch: BatchShape, points: Mapping[str, Parts]) -> int:
    """Unused bytes of segments that grow in place: these are reused for blocks of any size, so that little remains.

    A constant, one block as large as whole logits, a part of the gradient of a tied embedding, and a share of what the
    last block's backward pass needs: a larger share if blocks are recomputed, between what is kept. The block has
    float32 logits if gradients of all weights are allocated where the loss was.
    """
    table = constants.memory().cuda
    width = FLOAT32 if plan.method == "full" and plan.checkpointing else compute_bytes(plan)
    logits = 0 if plan.chunked_loss else batch.scored_tokens * shape.vocab * width
    share = table.growing if plan.checkpointing else table.growing_plain
    tied = table.growing_tied * embedding(shape) * trained_bytes(plan) if shape.tied and plan.method == "full" else 0
    return int(table.growing_least + logits + tied + share * sum(points["top"].values()))


def _share(plan: Plan) -> float:
    """Share of what another peak point needed; more if sharded, since streams don't reuse each other's blocks."""
    if plan.processes > 1 and plan.method == "full":
        return constants.memory().several.cached
    return constants.memory().cuda.cached if plan.checkpointing else constants.memory().cuda.cached_plain


def _loss_blocks(shape: ModelShape, plan: Plan, batch: BatchShape, stack: Stack) -> int:
    """Bytes of the whole logits as the head computes them, and of the large blocks that the loss makes of them."""
    each = SIXTEEN_BIT if stack.narrow_loss else FLOAT32
    width = compute_bytes(plan) + each * constants.memory().cuda.loss_blocks
    return batch.scored_tokens * shape.vocab * width


def _elsewhere(points: Mapping[str, Parts], now: Parts) -> int:
    """The most that another peak point needs beyond what is allocated now, category by category."""
    return max(sum(max(0, size - now.get(name, 0)) for name, size in parts.items()) for parts in points.values())
