"""Memory between training steps: answers to sample prompts and to a task's questions, measuring forgetting."""

from __future__ import annotations

from backend import constants
from backend.model.shape import ModelShape
from backend.plan import prompts
from backend.plan.counts import sequences_per_row
from backend.plan.plan import Plan
from backend.planner.memory import activations
from backend.planner.memory import states as memory_states
from backend.planner.memory.activations import BatchShape
from backend.planner.memory.elements import FLOAT32, compute_bytes
from backend.planner.memory.head import chunk_rows
from backend.planner.memory.step import peak_points

Parts = dict[str, int]
"""Category -> bytes on top of the resident memory."""


def sampled(shape: ModelShape, plan: Plan) -> Parts:
    """Several sample answers at once, to prompts of at most half a row each; or a single answer to a longer prompt."""
    new = constants.memory().sample.new_tokens
    several = _answered(shape, plan, prompts.TOGETHER, plan.max_length // 2, new)
    one = _answered(shape, plan, 1, plan.max_length, new)
    return max(several, one, key=lambda parts: sum(parts.values()))


def task(shape: ModelShape, plan: Plan) -> Parts:
    """Answers to the questions of a task, as many at once as the trainer begins with."""
    return _answered(shape, plan, task_batch(shape, plan), plan.max_length // 2, plan.task_tokens)


def task_batch(shape: ModelShape, plan: Plan) -> int:
    """Questions of a task to answer at once: as many as take no more memory than training does, and at least one."""
    batch = BatchShape(plan.micro_batch * sequences_per_row(plan), plan.max_length, 1)
    points = {name: sum(parts.values()) for name, parts in peak_points(shape, plan, batch).items() if name != "eval"}
    count = min(plan.task_rows, constants.throughput().sample.task_batch)
    while count > 1 and _task_bytes(shape, plan, count) > max(points.values()):
        count //= 2
    return count


def _task_bytes(shape: ModelShape, plan: Plan, count: int) -> int:
    return sum(_answered(shape, plan, count, plan.max_length // 2, plan.task_tokens).values())


def forgetting(shape: ModelShape, plan: Plan) -> Parts:
    """One sequence of general text, by the model and by its base, the logits of a few positions at a time."""
    tokens = min(plan.max_length, constants.forgetting().measure.length)
    rows = min(tokens, chunk_rows(tokens, shape.hidden, shape.vocab) // 2)
    states = 2 * tokens * shape.hidden * compute_bytes(plan)
    return {
        "copies": memory_states.copies(shape, plan),
        "activations": activations.forward_only(shape, plan, BatchShape(1, tokens, tokens)) + states,
        "logits": rows * shape.vocab * constants.memory().logits.forgetting,
    }


def _answered(shape: ModelShape, plan: Plan, count: int, prompt: int, new: int) -> Parts:
    """`count` answers of `new` tokens to prompts of `prompt` tokens.

    Keys and values: 2 x layers x key heads x head size a token, in the compute type; then the logits of the last token.
    """
    token = 2 * shape.layers * shape.kv_heads * shape.head_dim * compute_bytes(plan)
    cache = token * count * (prompt + new)
    block = activations.forward_only(shape, plan, BatchShape(count, prompt, 1))
    return {
        "copies": memory_states.copies(shape, plan),
        "activations": cache + block,
        "logits": count * shape.vocab * FLOAT32,
    }
