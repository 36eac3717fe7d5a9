"""What trains besides LoRA's matrices: whole modules (`modules_to_save`), and the rows of new tokens."""

from __future__ import annotations

from backend.model import whole_modules
from backend.model.shape import ModelShape
from backend.plan.plan import Plan


def elements(shape: ModelShape, plan: Plan) -> int:
    """Elements that train."""
    return whole_modules.parameters(shape, plan.modules_to_save) + rows(shape, plan)


def rows(shape: ModelShape, plan: Plan) -> int:
    """Elements of the new tokens' rows, in each matrix that does not train in full; a tied head has none of its own."""
    matrices = (not trains_embedding(plan)) + (not shape.tied and not trains_head(shape, plan))
    return shape.added_tokens * shape.hidden * matrices


def trains_embedding(plan: Plan) -> bool:
    """Whether the input embedding trains in full besides an adapter."""
    return plan.method != "full" and whole_modules.has_embedding(plan.modules_to_save)


def trains_head(shape: ModelShape, plan: Plan) -> bool:
    """Whether the output head trains in full besides an adapter."""
    return plan.method != "full" and whole_modules.has_head(shape, plan.modules_to_save)
