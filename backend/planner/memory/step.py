"""The peak points of one optimizer step: the points at which its memory can be highest, in order.

The dry run's stages (backend/dryrun) have the same names. The memory at each point is linear in the number of blocks.
"""

from __future__ import annotations

from collections.abc import Mapping

from backend.model.shape import ModelShape
from backend.plan.plan import Plan
from backend.planner.memory import activations, beside, dora, states
from backend.planner.memory.activations import BatchShape
from backend.planner.memory.elements import residual_bytes, steps_in_backward, trained_bytes
from backend.planner.memory.head import evaluated, head
from backend.planner.memory.stack import OWN, Stack

Parts = Mapping[str, int]
"""Category -> bytes on top of weights, adapters and optimizer states."""


def peak_points(shape: ModelShape, plan: Plan, batch: BatchShape, stack: Stack = OWN) -> dict[str, Parts]:
    """Peak point -> bytes on top of the resident memory.

    `lengths`: in the last block, if DoRA computes lengths; `forward`: after the last block; `loss`: in its backward
    pass; `top` and `bottom`: in the backward pass of the last and the first block; `embedding`: in its backward pass;
    `optimizer`: in the update; `eval`: in an evaluation.
    """
    copies = states.copies(shape, plan)
    blocks_copies = copies - states.head_copy(shape, plan)
    block_copies = blocks_copies // shape.layers
    kept, last = activations.kept(shape, plan, batch, stack), _after_blocks(shape, plan, batch, stack)
    block = _recomputed(shape, plan, batch, stack) if plan.checkpointing else 0
    transient = activations.transient(shape, plan, batch, stack)
    loss, gradients = head(shape, plan, batch, stack), states.gradients(shape, plan)
    in_backward = 0 if plan.checkpointing else blocks_copies
    at_once = 0 if steps_in_backward(plan) else gradients
    lengths = dora.work(shape, plan)
    return {
        **({"lengths": {"copies": copies, "activations": kept + lengths}} if lengths else {}),
        "forward": {"copies": copies, "activations": kept + last, "logits": loss.forward},
        "loss": {"copies": in_backward, "activations": kept + last, "logits": loss.backward},
        "top": {
            "copies": block_copies if plan.checkpointing else blocks_copies,
            "activations": kept + block + transient,
            "gradients": states.head_gradient(shape, plan),
        },
        "bottom": {
            "copies": block_copies,
            "activations": activations.block(shape, plan, batch, stack) + transient,
            "gradients": gradients - _last_gradients(shape, plan),
        },
        "embedding": {"activations": _embedding_backward(shape, plan, batch, stack), "gradients": gradients},
        "optimizer": {"gradients": at_once, "workspace": states.update(shape, plan, stack)},
        "eval": {
            "copies": copies,
            "activations": activations.forward_only(shape, plan, batch),
            "logits": evaluated(shape, plan, batch, stack),
        },
    }


def _recomputed(shape: ModelShape, plan: Plan, batch: BatchShape, stack: Stack) -> int:
    """Bytes of a recomputed block; if its first norm keeps the block's input itself, that is not counted twice."""
    shared = batch.tokens * shape.hidden * residual_bytes(plan, stack) if stack.fused_norms else 0
    return activations.block(shape, plan, batch, stack) - shared


def _after_blocks(shape: ModelShape, plan: Plan, batch: BatchShape, stack: Stack) -> int:
    """Bytes after the blocks: what the last norm keeps, and its output."""
    return batch.tokens * shape.hidden * (activations.norm(plan, stack) + residual_bytes(plan, stack))


def _last_gradients(shape: ModelShape, plan: Plan) -> int:
    """Bytes of gradients that don't exist yet during the first block's backward pass: its own, and the embedding's."""
    if steps_in_backward(plan) or not (plan.method == "full" or beside.trains_embedding(plan)):
        return 0
    own = shape.block_linear_parameters // shape.layers if plan.method == "full" else 0
    return (own + states.embedding(shape)) * trained_bytes(plan)


def _embedding_backward(shape: ModelShape, plan: Plan, batch: BatchShape, stack: Stack) -> int:
    """Bytes of the gradient at the embedding's output; if it is tied, also the head's gradient, which it is added to.

    Autograd adds them in place, but not under fake tensors.
    """
    output = batch.tokens * shape.hidden * residual_bytes(plan, stack)
    if not (plan.method == "full" or beside.trains_embedding(plan)):
        return output
    held = 2 if stack.fake_tensors else 1
    return output + (held * states.embedding(shape) * trained_bytes(plan) if shape.tied else 0)
