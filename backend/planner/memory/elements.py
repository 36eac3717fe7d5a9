"""Bytes of one element of each kind, and how many elements train."""

from __future__ import annotations

from backend.model.shape import ModelShape
from backend.plan.plan import Plan
from backend.planner.memory import beside
from backend.planner.memory.stack import OWN, Stack

SIXTEEN_BIT = 2
FLOAT32 = 4


def compute_bytes(plan: Plan) -> int:
    """Bytes of one element in the compute type (`plan.precision`)."""
    return FLOAT32 if plan.precision == "float32" else SIXTEEN_BIT


def trained_bytes(plan: Plan) -> int:
    """Bytes of one trained element and of its gradient: 16 bits only if the compute type is bfloat16 too."""
    wanted = plan.weights_dtype if plan.method == "full" else plan.adapter_dtype
    return SIXTEEN_BIT if wanted == plan.precision == "bfloat16" else FLOAT32


def weight_bytes(plan: Plan) -> int:
    """Bytes of one weight that is not quantised: in its own type if it trains, else in the compute type."""
    return trained_bytes(plan) if plan.method == "full" else compute_bytes(plan)


def residual_bytes(plan: Plan, stack: Stack = OWN) -> int:
    """Bytes of one element of the residual stream, which has the type of the embedding's weights."""
    if stack.wide_residual:
        return FLOAT32
    return trained_bytes(plan) if beside.trains_embedding(plan) else weight_bytes(plan)


def is_cast(plan: Plan) -> bool:
    """Whether autocast makes 16-bit copies of what trains, since that is float32."""
    return compute_bytes(plan) == SIXTEEN_BIT and trained_bytes(plan) == FLOAT32


def steps_in_backward(plan: Plan) -> bool:
    """Whether gradients never exist all at once; float16's loss scaling needs all of them, whatever the plan says."""
    return plan.method == "full" and plan.optimizer_in_backward and plan.precision != "float16"


def trainable(shape: ModelShape, plan: Plan) -> int:
    """Elements that train."""
    if plan.method == "full":
        return shape.parameters - shape.frozen_parameters
    lengths = shape.dora_parameters(plan.target_modules) if plan.use_dora else 0
    return shape.lora_parameters(plan.rank, plan.target_modules) + lengths + beside.elements(shape, plan)
