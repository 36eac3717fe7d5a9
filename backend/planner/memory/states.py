"""Weights, adapters, gradients and optimizer states on a device, and 16-bit copies of what trains."""

from __future__ import annotations

from backend import constants
from backend.model.shape import ModelShape
from backend.plan.plan import Plan
from backend.planner.memory import beside
from backend.planner.memory.elements import (
    FLOAT32,
    SIXTEEN_BIT,
    compute_bytes,
    is_cast,
    steps_in_backward,
    trainable,
    trained_bytes,
    weight_bytes,
)
from backend.planner.memory.stack import OWN, Stack


def weights(shape: ModelShape, plan: Plan) -> int:
    """Bytes of the model's own weights on the device.

    NF4 with double quantisation: 4 bits, an 8-bit scale for each block of 64 and a float32 one for 256 of those scales
    (QLoRA 2305.14314), for the linear layers of the blocks; embedding, head, norms and biases keep the compute type.
    """
    if plan.method != "qlora":
        return shape.parameters * weight_bytes(plan)
    table = constants.memory().quantisation
    block, nested = table.nf4_block, table.nf4_nested_block
    bits = 4 + 8 / block + 32 / (block * nested)
    quantised = shape.quantizable_parameters
    return int(quantised * bits / 8) + (shape.parameters - quantised) * compute_bytes(plan)


def adapters(shape: ModelShape, plan: Plan) -> int:
    """Bytes of LoRA's matrices; peft keeps them in float32 over a 16-bit base."""
    return 0 if plan.method == "full" else trainable(shape, plan) * trained_bytes(plan)


def gradients(shape: ModelShape, plan: Plan) -> int:
    """Bytes of all gradients; if the optimizer steps in the backward pass, of the largest parameter's only."""
    if steps_in_backward(plan):
        return embedding(shape) * trained_bytes(plan)
    return trainable(shape, plan) * trained_bytes(plan)


def head_gradient(shape: ModelShape, plan: Plan) -> int:
    """Bytes of the head's own gradient, if it trains."""
    return embedding(shape) * trained_bytes(plan) if plan.method == "full" or beside.trains_head(shape, plan) else 0


def embedding(shape: ModelShape) -> int:
    """Elements of the input embedding, which is as large as the head."""
    return shape.vocab * shape.hidden


def optimizer_states(shape: ModelShape, plan: Plan, stack: Stack = OWN) -> int:
    """Bytes of the optimizer's states, by presets/memory.toml; Adafactor keeps one row and one column a matrix."""
    if plan.optimizer == "adafactor":
        block = sum(x.inputs + x.outputs for x in shape.linears) + shape.experts * sum(
            x.inputs + x.outputs for x in shape.expert_linears
        )
        return (shape.layers * block + shape.vocab + shape.hidden) * FLOAT32
    if plan.optimizer == "adamw" and stack.narrow_states:
        return 2 * trainable(shape, plan) * trained_bytes(plan)
    return int(trainable(shape, plan) * constants.memory().optimizer.bytes_per_parameter(plan.optimizer))


def update(shape: ModelShape, plan: Plan, stack: Stack = OWN) -> int:
    """Bytes that an optimizer step needs besides gradients and states: none for the fused AdamW and the 8-bit ones.

    16-bit weights are widened and rounded piece by piece (training/optim/rounding.py). Adafactor computes the update of
    one matrix at a time, in float32, and its square.
    """
    if stack.narrow_states or stack.foreach:
        return gradients(shape, plan) * stack.foreach
    table = constants.memory().update
    largest = embedding(shape) if plan.method == "full" else 0
    pieces = 0
    if trained_bytes(plan) == SIXTEEN_BIT:
        pieces = min(largest or trainable(shape, plan), table.rounded_piece) * 2 * FLOAT32
    return pieces + (2 * largest * FLOAT32 if plan.optimizer == "adafactor" else 0)


def copies(shape: ModelShape, plan: Plan) -> int:
    """Bytes of the 16-bit copies that autocast makes, once a pass, of float32 weights that train.

    The embedding is looked up as it is; the head is copied. Autograd keeps the copies for the backward pass.
    """
    head = head_copy(shape, plan)
    if not is_cast(plan):
        return head
    if plan.method != "full":
        return shape.lora_parameters(plan.rank, plan.target_modules) * SIXTEEN_BIT + head
    return shape.block_linear_parameters * SIXTEEN_BIT + head


def head_copy(shape: ModelShape, plan: Plan) -> int:
    """Bytes of the head's 16-bit copy."""
    trains = plan.method == "full" or beside.trains_head(shape, plan)
    return embedding(shape) * SIXTEEN_BIT if trains and is_cast(plan) else 0
