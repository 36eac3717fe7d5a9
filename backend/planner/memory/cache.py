"""What torch's allocator holds of a GPU beyond what it has handed out: blocks that no other moment could use."""

from __future__ import annotations

from collections.abc import Mapping

from backend import constants
from backend.model.shape import ModelShape
from backend.plan.plan import Plan
from backend.planner.memory.activations import BatchShape
from backend.planner.memory.elements import FLOAT32, SIXTEEN_BIT, compute_bytes
from backend.planner.memory.stack import OWN, Stack
from backend.planner.memory.step import Parts


def unused(shape: ModelShape, plan: Plan, batch: BatchShape, points: Mapping[str, Parts], stack: Stack = OWN) -> int:
    """Bytes held and not handed out at the peak of a step, by presets/memory.toml.

    Of whole logits the cache has each of the loss's large blocks once, since one that is freed is cut up for smaller
    ones. It has a share of what another moment needed and this one does not: less of it without checkpointing, where
    activations are freed block by block and gradients take their place. Expandable segments grow in place and can be
    used again: only a part of all that is left.
    """
    table = constants.memory().cuda
    held = {name: dict(parts) for name, parts in points.items()}
    if not plan.chunked_loss:
        held["loss"]["logits"] = max(held["loss"]["logits"], _loss_blocks(shape, plan, batch, stack))
    most = max(sum(parts.values()) + _share(plan) * _elsewhere(held, parts) for parts in held.values())
    left = most - max(sum(parts.values()) for parts in points.values())
    return int(left * (table.cached_expandable if stack.expandable_segments else 1.0))


def _share(plan: Plan) -> float:
    """Part of what another moment needed; over sharded devices more, since streams don't use each other's blocks."""
    if plan.processes > 1 and plan.method == "full":
        return constants.memory().several.cached
    return constants.memory().cuda.cached if plan.checkpointing else constants.memory().cuda.cached_plain


def _loss_blocks(shape: ModelShape, plan: Plan, batch: BatchShape, stack: Stack) -> int:
    """Whole logits as the head makes them, and the large blocks that the loss makes of them."""
    each = SIXTEEN_BIT if stack.narrow_loss else FLOAT32
    width = compute_bytes(plan) + each * constants.memory().cuda.loss_blocks
    return batch.scored_tokens * shape.vocab * width


def _elsewhere(points: Mapping[str, Parts], now: Parts) -> int:
    """The most that another moment needs of what there is not now, category by category."""
    return max(sum(max(0, size - now.get(name, 0)) for name, size in parts.items()) for parts in points.values())
