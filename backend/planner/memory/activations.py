"""What the blocks hold for the backward pass, part by part, and what comes and goes while one of them runs."""

from __future__ import annotations

from dataclasses import dataclass

from backend import constants
from backend.model.shape import ModelShape
from backend.plan.plan import Plan
from backend.planner.memory.device import dequantised
from backend.planner.memory.elements import FLOAT32, compute_bytes, residual_bytes
from backend.planner.memory.stack import OWN, Stack


@dataclass(frozen=True)
class BatchShape:
    """What one forward pass sees: `sequences` of `length` tokens, `scored` of them in the loss."""

    sequences: int
    length: int
    scored: int

    @property
    def tokens(self) -> int:
        """Tokens of the micro-batch."""
        return self.sequences * self.length

    @property
    def scored_tokens(self) -> int:
        """Tokens whose logits are made."""
        return self.sequences * min(self.scored, self.length)


def kept(shape: ModelShape, plan: Plan, batch: BatchShape, stack: Stack = OWN) -> int:
    """What is kept of all blocks from forward to backward; with checkpointing only each block's input."""
    if plan.checkpointing:
        blocks = 0 if plan.activation_offload else shape.layers
        return blocks * batch.tokens * shape.hidden * residual_bytes(plan, stack)
    return shape.layers * block(shape, plan, batch, stack)


def block(shape: ModelShape, plan: Plan, batch: BatchShape, stack: Stack = OWN) -> int:
    """What autograd keeps of one block, in bytes."""
    inputs = linear_inputs(shape, plan, stack) + adapter_inputs(shape, plan, stack)
    inside = attention(shape, plan, batch, stack) + mlp(shape, plan, stack)
    return batch.tokens * (norms(shape, plan, stack) + inputs + inside)


def norms(shape: ModelShape, plan: Plan, stack: Stack = OWN) -> int:
    """Bytes a token: each RMSNorm keeps its input in float32, and the normalised values where its weight trains.

    Families with norms of queries and keys keep those too.
    """
    each = norm(plan, stack)
    width = norms_per_block(shape) * shape.hidden + _head_norms(shape)
    return each * width


def norm(plan: Plan, stack: Stack = OWN) -> int:
    """Bytes that one norm keeps of one element."""
    if stack.fused_norms:
        return residual_bytes(plan, stack)
    kept_input = constants.memory().activations.norm_input
    return kept_input + (residual_bytes(plan) if plan.method == "full" else 0)


def linear_inputs(shape: ModelShape, plan: Plan, stack: Stack = OWN) -> int:
    """Bytes a token: the inputs that trained weights or adapters need for their gradients.

    Queries, keys and values read one tensor, gate and up another; of a float32 residual stream autocast casts each
    input anew. The inputs of the output and down projections are counted with attention and the MLP.
    """
    if not shares_inputs(plan, stack):
        return 0
    width, readers = compute_bytes(plan), _readers(shape, plan)
    if residual_bytes(plan) == width:
        readers = [min(1, count) for count in readers]
    return width * shape.hidden * sum(readers)


def attention(shape: ModelShape, plan: Plan, batch: BatchShape, stack: Stack = OWN) -> int:
    """Bytes a token: queries, keys, values and result, one float32 a head.

    Where packed rows or a sliding window need a mask, keys and values are repeated to the queries' heads and the mask
    is kept in the compute type; eager attention keeps its scores twice (in float32 and in the compute type).
    """
    width, query, key = compute_bytes(plan), shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    if plan.attention == "eager":
        return width * 4 * query + shape.heads * batch.length * (width + FLOAT32)
    keys = 2 * width * (query if stack.repeated_keys else key)
    if plan.attention == "sdpa" and (plan.packing or _slides(shape, batch)):
        keys = 2 * width * query + width * batch.length
    return 2 * width * query + keys + constants.memory().activations.lse * shape.heads


def _slides(shape: ModelShape, batch: BatchShape) -> bool:
    """Some block sees less than the whole sequence; where only some do, all are counted as if they did."""
    return shape.sliding_window is not None and 0 < shape.sliding_window <= batch.length


def mlp(shape: ModelShape, plan: Plan, stack: Stack = OWN) -> int:
    """Bytes a token: gate, its activation and up; their product too where the down projection trains something."""
    tensors = stack.swiglu_tensors
    if tensors is None:
        tensors = constants.memory().activations.swiglu_tensors
    return _made_bytes(plan, stack) * (tensors + keeps_product(shape, plan, stack)) * shape.intermediate


def _made_bytes(plan: Plan, stack: Stack) -> int:
    """Bytes of one element that a linear layer of a block makes."""
    return FLOAT32 if stack.wide_residual else compute_bytes(plan)


def keeps_product(shape: ModelShape, plan: Plan, stack: Stack = OWN) -> bool:
    """The down projection keeps its input."""
    adapted = any(x.name == "down_proj" for x in shape.lora_targets(plan.target_modules))
    return plan.method == "full" or (adapted and shares_inputs(plan, stack))


def shares_inputs(plan: Plan, stack: Stack = OWN) -> bool:
    """Linear layers keep their inputs as they are; adapters with dropout, or wider ones, keep only their own."""
    return plan.method == "full" or not (plan.dropout or stack.wide_adapter_inputs)


def adapter_inputs(shape: ModelShape, plan: Plan, stack: Stack = OWN) -> int:
    """Bytes a token: what lies between an adapter's two matrices; with dropout its dropped inputs and their mask."""
    if plan.method == "full":
        return 0
    targets = shape.lora_targets(plan.target_modules)
    width = FLOAT32 if stack.wide_adapter_inputs else compute_bytes(plan)
    each = (0 if shares_inputs(plan, stack) else width) + (1 if plan.dropout else 0)
    return width * plan.rank * len(targets) + each * sum(x.inputs for x in targets)


def transient(shape: ModelShape, plan: Plan, batch: BatchShape, stack: Stack = OWN) -> int:
    """What is alive at once beside the kept while one block goes backward: the MLP's gradients, and the residual's.

    Of the MLP that is its product's gradient and the down projection's dequantised weight; then that gradient and those
    of both factors, when a product that was kept is gone.
    """
    inner = batch.tokens * _made_bytes(plan, stack) * shape.intermediate
    mlps = max(inner + dequantised(shape, plan), inner * (3 - keeps_product(shape, plan, stack)))
    return mlps + batch.tokens * 2 * residual_bytes(plan, stack) * shape.hidden


def forward_only(shape: ModelShape, plan: Plan, batch: BatchShape) -> int:
    """Activations alive at once while one block runs with nothing kept: the MLP's three, residual and its norm."""
    width = compute_bytes(plan)
    return batch.tokens * (3 * width * shape.intermediate + (residual_bytes(plan) + width) * shape.hidden)


def norms_per_block(shape: ModelShape) -> int:
    """Norms over the hidden size in one block: two, in some families four."""
    return max(2, (shape.norm_parameters - shape.hidden) // (shape.layers * shape.hidden))


def _head_norms(shape: ModelShape) -> int:
    """Elements a token of queries and keys that a norm of their own sees."""
    rest = (shape.norm_parameters - shape.hidden) // shape.layers - norms_per_block(shape) * shape.hidden
    return (shape.heads + shape.kv_heads) * shape.head_dim if rest >= 2 * shape.head_dim else 0


def _readers(shape: ModelShape, plan: Plan) -> list[int]:
    """How many linear layers with something to train read the first and the second norm's result."""
    linears = shape.linears if plan.method == "full" else shape.lora_targets(plan.target_modules)
    reading = [x for x in linears if x.inputs == shape.hidden and x.name not in ("o_proj", "down_proj")]
    in_mlp = sum(x.name in ("gate_proj", "up_proj", "gate_up_proj") for x in reading)
    return [len(reading) - in_mlp, in_mlp]
