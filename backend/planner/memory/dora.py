"""What DoRA adds to a step, as peft 0.21 computes it: the lengths of the merged weight's rows, anew in every pass.

peft makes the product B @ A by sending an identity matrix through the adapter, then the sum with the weight and its
norms. Nothing of it is kept but, for each output, the layer's result and the adapter's.
"""

from __future__ import annotations

from backend.model.shape import Linear, ModelShape
from backend.plan.plan import Plan
from backend.planner.memory.elements import FLOAT32, compute_bytes


def kept(shape: ModelShape, plan: Plan) -> int:
    """Bytes a token of one block that the lengths and the adapter need for their gradients."""
    if plan.method == "full" or not plan.use_dora:
        return 0
    return 2 * compute_bytes(plan) * sum(x.outputs for x in shape.lora_targets(plan.target_modules))


def work(shape: ModelShape, plan: Plan) -> int:
    """Bytes allocated at once while the lengths of the largest layer are computed, whatever the batch."""
    if plan.method == "full" or not plan.use_dora:
        return 0
    return max((_of(x, plan) for x in shape.lora_targets(plan.target_modules)), default=0)


def _of(linear: Linear, plan: Plan) -> int:
    """First the identity, in float32 and cast, beside the product; then the product, the scaled one and the sum."""
    width, square = compute_bytes(plan), linear.inputs**2
    cast = width if width < FLOAT32 else 0
    product = square * (FLOAT32 + cast) + linear.weights * width
    dequantised = width if plan.method == "qlora" else 0
    summed = square * (cast or FLOAT32) + linear.weights * (3 * width + dequantised)
    return max(product, summed)
