"""Memory that DoRA adds to a step in peft 0.21, which computes the norms of the merged weight's rows in every pass.

peft makes the product B @ A by sending an identity matrix through the adapter, adds it to the weight, and takes the
norms of the rows ("lengths" here). It keeps only, for each output, the layer's result and the adapter's.
"""

from __future__ import annotations

from backend.model.shape import Linear, ModelShape
from backend.plan.plan import Plan
from backend.planner.memory.elements import FLOAT32, compute_bytes


def kept(shape: ModelShape, plan: Plan) -> int:
    """Bytes per token that one block keeps for the gradients of the lengths and the adapter."""
    if plan.method == "full" or not plan.use_dora:
        return 0
    return 2 * compute_bytes(plan) * sum(x.outputs for x in shape.lora_targets(plan.target_modules))


def work(shape: ModelShape, plan: Plan) -> int:
    """Bytes allocated at once while the lengths of the largest layer are computed, whatever the batch."""
    if plan.method == "full" or not plan.use_dora:
        return 0
    return max((_of(x, plan) for x in shape.lora_targets(plan.target_modules)), default=0)


def _of(linear: Linear, plan: Plan) -> int:
    """The larger of: identity, in float32 and cast, with the product; or product, scaled product and their sum."""
    width, square = compute_bytes(plan), linear.inputs**2
    cast = width if width < FLOAT32 else 0
    product = square * (FLOAT32 + cast) + linear.weights * width
    dequantised = width if plan.method == "qlora" else 0
    summed = square * (cast or FLOAT32) + linear.weights * (3 * width + dequantised)
    return max(product, summed)
