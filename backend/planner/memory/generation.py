"""Sample answers between training steps: the cache of keys and values, and the logits of one token at a time."""

from __future__ import annotations

from backend import constants
from backend.model.shape import ModelShape
from backend.plan.plan import Plan
from backend.planner.memory import states
from backend.planner.memory.elements import FLOAT32, compute_bytes


def sampled(shape: ModelShape, plan: Plan) -> dict[str, int]:
    """Category -> bytes on top of the resident memory.

    Keys and values: 2 x layers x key heads x head size a token, in the compute type; then the logits of the last
    token. The prompt is one row, cut like any other.
    """
    tokens = plan.max_length + constants.memory().sample.new_tokens
    cache = 2 * shape.layers * shape.kv_heads * shape.head_dim * tokens * compute_bytes(plan)
    return {"copies": states.copies(shape, plan), "activations": cache, "logits": shape.vocab * FLOAT32}
