"""Memory that grows with the vocabulary: logits of target tokens, whole or in chunks, and the head's gradients."""

from __future__ import annotations

from dataclasses import dataclass

from backend import constants
from backend.model.shape import ModelShape
from backend.plan.plan import Plan
from backend.planner.memory.activations import BatchShape
from backend.planner.memory.elements import compute_bytes
from backend.planner.memory.stack import OWN, Stack
from backend.planner.memory.states import embedding, head_copy, head_gradient


@dataclass(frozen=True)
class Head:
    """Bytes allocated at once between the last block's output and the gradient of that output."""

    forward: int
    backward: int


def head(shape: ModelShape, plan: Plan, batch: BatchShape, stack: Stack = OWN) -> Head:
    """The head's memory with whole logits or the chunked loss, as the plan says, or in another training stack."""
    if stack.logits_bytes is not None and not plan.chunked_loss:
        entries = batch.scored_tokens * shape.vocab
        scores = int(entries * stack.logits_bytes)
        forward = scores if stack.logits_forward is None else int(entries * stack.logits_forward)
        return Head(forward, scores + head_gradient(shape, plan))
    return _chunked(shape, plan, batch) if plan.chunked_loss else _whole(shape, plan, batch)


def evaluated(shape: ModelShape, plan: Plan, batch: BatchShape, stack: Stack = OWN) -> int:
    """Bytes in an evaluation: the chunked loss makes no gradients then; whole logits are the same."""
    table, tokens = constants.memory().logits, batch.scored_tokens
    rows = min(tokens, chunk_rows(tokens, shape.hidden, shape.vocab)) if plan.chunked_loss else tokens
    whole = table.whole_forward if stack.logits_bytes is None else stack.logits_bytes
    share = table.chunked if plan.chunked_loss else whole
    return int(rows * shape.vocab * share) + _picked(shape, plan, batch)


def _whole(shape: ModelShape, plan: Plan, batch: BatchShape) -> Head:
    """Logits in the compute type and in float32, and their log-softmax; in the backward pass two gradients beside it.

    If the head trains, its 16-bit copy stays until its gradient is there, in the compute type and then in its own.
    """
    table, scores = constants.memory().logits, batch.scored_tokens * shape.vocab
    picked = _picked(shape, plan, batch)
    gradient = head_gradient(shape, plan)
    narrow = embedding(shape) * compute_bytes(plan) if gradient else 0
    products = max(int(scores * table.whole_backward), scores * compute_bytes(plan) + narrow)
    backward = max(products + head_copy(shape, plan), narrow + gradient)
    return Head(int(scores * table.whole_forward) + picked, backward + picked)


def _chunked(shape: ModelShape, plan: Plan, batch: BatchShape) -> Head:
    """One chunk's logits, the gradient of all hidden states, and the head's gradient if the head trains."""
    table, tokens, width = constants.memory().logits, batch.scored_tokens, compute_bytes(plan)
    rows = min(tokens, chunk_rows(tokens, shape.hidden, shape.vocab))
    states = 2 * tokens * shape.hidden * width + _picked(shape, plan, batch)
    gradient = head_gradient(shape, plan)
    narrow = embedding(shape) * width if gradient else 0
    slopes = int(rows * shape.vocab * table.chunked_slope) + narrow
    scores = max(int(rows * shape.vocab * table.chunked), slopes if gradient else 0)
    return Head(scores + states + gradient, states + 2 * gradient)


def chunk_rows(positions: int, hidden: int, vocab: int) -> int:
    """Target tokens in one chunk of the loss: its logits take about as much as the hidden states; at least 128."""
    return max(constants.memory().logits.chunk_minimum, -(-positions * hidden // vocab))


def _picked(shape: ModelShape, plan: Plan, batch: BatchShape) -> int:
    """Bytes of the index that picks the hidden states of the target tokens: an 8-byte integer for each element."""
    return batch.scored_tokens * shape.hidden * constants.memory().logits.picked_index
