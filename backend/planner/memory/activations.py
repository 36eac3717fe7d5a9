"""What the blocks keep for the backward pass, part by part, and what is allocated while one of them runs."""

from __future__ import annotations

from dataclasses import dataclass

from backend import constants
from backend.model.shape import ModelShape
from backend.plan.plan import Plan
from backend.planner.memory import dora
from backend.planner.memory.device import dequantised
from backend.planner.memory.elements import FLOAT32, compute_bytes, residual_bytes
from backend.planner.memory.stack import OWN, Stack


@dataclass(frozen=True)
class BatchShape:
    """The input of one forward pass: `sequences` of `length` tokens, `scored` of which are target tokens."""

    sequences: int
    length: int
    scored: int

    @property
    def tokens(self) -> int:
        """Tokens of the micro-batch."""
        return self.sequences * self.length

    @property
    def scored_tokens(self) -> int:
        """Target tokens: those whose logits are computed."""
        return self.sequences * min(self.scored, self.length)


def kept(shape: ModelShape, plan: Plan, batch: BatchShape, stack: Stack = OWN) -> int:
    """Bytes that all blocks keep for the backward pass; with checkpointing only each block's input."""
    if plan.checkpointing:
        blocks = 0 if plan.activation_offload else shape.layers
        return blocks * batch.tokens * shape.hidden * residual_bytes(plan, stack)
    return shape.layers * block(shape, plan, batch, stack)


def block(shape: ModelShape, plan: Plan, batch: BatchShape, stack: Stack = OWN) -> int:
    """Bytes that autograd keeps of one block."""
    inputs = linear_inputs(shape, plan, stack) + adapter_inputs(shape, plan, stack)
    inside = attention(shape, plan, batch, stack) + mlp(shape, plan, stack) + dora.kept(shape, plan)
    return batch.tokens * (norms(shape, plan, stack) + inputs + inside)


def norms(shape: ModelShape, plan: Plan, stack: Stack = OWN) -> int:
    """Bytes a token: each RMSNorm keeps its input in float32, and the normalised values if its weight trains.

    Families with norms on queries and keys keep those too.
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
    """Bytes per token: the inputs that trained weights or adapters need for their gradients.

    Queries, keys and values share one input tensor, gate and up another; if the residual stream is float32, autocast
    casts it anew for each of them. The inputs of the output and down projections are counted with attention and MLP.
    """
    if not shares_inputs(plan, stack):
        return 0
    width, readers = compute_bytes(plan), _readers(shape, plan)
    if residual_bytes(plan) == width:
        readers = [min(1, count) for count in readers]
    return width * shape.hidden * sum(readers)


def attention(shape: ModelShape, plan: Plan, batch: BatchShape, stack: Stack = OWN) -> int:
    """Bytes a token: queries, keys, values and result, and one float32 for each head (the log-sum-exp).

    If packed rows or a sliding window need a mask, keys and values are repeated for all query heads and the mask is
    kept in the compute type. Eager attention keeps its scores twice (in float32 and in the compute type).
    """
    width, query, key = compute_bytes(plan), shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    if plan.attention == "eager":
        return width * 4 * query + shape.heads * batch.length * (width + FLOAT32)
    keys = 2 * width * (query if stack.repeated_keys else key)
    if plan.attention == "sdpa" and (plan.packing or _slides(shape, batch)):
        keys = 2 * width * query + width * batch.length
    return 2 * width * query + keys + constants.memory().activations.lse * shape.heads


def _slides(shape: ModelShape, batch: BatchShape) -> bool:
    """Whether some block has a sliding window shorter than the sequence; if only some do, all are counted as such."""
    return shape.sliding_window is not None and 0 < shape.sliding_window <= batch.length


def mlp(shape: ModelShape, plan: Plan, stack: Stack = OWN) -> int:
    """Bytes a token: gate, its activation and up; and their product if the down projection trains something."""
    tensors = stack.swiglu_tensors
    if tensors is None:
        tensors = constants.memory().activations.swiglu_tensors
    return _made_bytes(plan, stack) * (tensors + keeps_product(shape, plan, stack)) * shape.intermediate


def _made_bytes(plan: Plan, stack: Stack) -> int:
    """Bytes of one element of a linear layer's output within a block."""
    return FLOAT32 if stack.wide_residual else compute_bytes(plan)


def keeps_product(shape: ModelShape, plan: Plan, stack: Stack = OWN) -> bool:
    """Whether the down projection keeps its input."""
    adapted = any(x.name == "down_proj" for x in shape.lora_targets(plan.target_modules))
    return plan.method == "full" or (adapted and shares_inputs(plan, stack))


def shares_inputs(plan: Plan, stack: Stack = OWN) -> bool:
    """Whether linear layers keep one shared input; adapters with dropout, or in float32, keep a copy of their own."""
    return plan.method == "full" or not (plan.dropout or stack.wide_adapter_inputs)


def adapter_inputs(shape: ModelShape, plan: Plan, stack: Stack = OWN) -> int:
    """Bytes a token: the result of an adapter's first matrix; with dropout its own input and the mask too."""
    if plan.method == "full":
        return 0
    targets = shape.lora_targets(plan.target_modules)
    width = FLOAT32 if stack.wide_adapter_inputs else compute_bytes(plan)
    each = (0 if shares_inputs(plan, stack) else width) + (1 if plan.dropout else 0)
    return width * plan.rank * len(targets) + each * sum(x.inputs for x in targets)


def transient(shape: ModelShape, plan: Plan, batch: BatchShape, stack: Stack = OWN) -> int:
    """Bytes that one block's backward pass allocates besides what is kept: gradients of the MLP and the residual.

    The MLP has the gradient of its product and the down projection's dequantised weight; later that gradient and
    those of both factors, when a product that was kept has been freed. Eager attention has the gradients of its
    probabilities, in the compute type and in float32, and of its scores, which may be more.
    """
    inner = batch.tokens * _made_bytes(plan, stack) * shape.intermediate
    mlps = max(inner + dequantised(shape, plan), inner * (3 - keeps_product(shape, plan, stack)))
    recomputed = inner + dora.work(shape, plan) if plan.checkpointing and plan.use_dora else 0
    if plan.attention == "eager":
        mlps = max(mlps, batch.tokens * shape.heads * batch.length * (compute_bytes(plan) + 2 * FLOAT32))
    return max(mlps, recomputed) + batch.tokens * 2 * residual_bytes(plan, stack) * shape.hidden


def forward_only(shape: ModelShape, plan: Plan, batch: BatchShape) -> int:
    """Bytes that a block allocates if nothing is kept: three tensors of the MLP, the residual and its norm."""
    width = compute_bytes(plan)
    inside = batch.tokens * width * shape.intermediate
    lengths = dora.work(shape, plan) - 2 * inside if plan.use_dora else 0
    return 3 * inside + max(0, lengths) + batch.tokens * (residual_bytes(plan) + width) * shape.hidden


def norms_per_block(shape: ModelShape) -> int:
    """Norms over the hidden size in one block: two, or four in some families."""
    return max(2, (shape.norm_parameters - shape.hidden) // (shape.layers * shape.hidden))


def _head_norms(shape: ModelShape) -> int:
    """Elements per token of queries and keys, if they have norms of their own."""
    rest = (shape.norm_parameters - shape.hidden) // shape.layers - norms_per_block(shape) * shape.hidden
    return (shape.heads + shape.kv_heads) * shape.head_dim if rest >= 2 * shape.head_dim else 0


def _readers(shape: ModelShape, plan: Plan) -> list[int]:
    """How many linear layers with something to train read the first and the second norm's output."""
    linears = shape.linears if plan.method == "full" else shape.lora_targets(plan.target_modules)
    reading = [x for x in linears if x.inputs == shape.hidden and x.name not in ("o_proj", "down_proj")]
    in_mlp = sum(x.name in ("gate_proj", "up_proj", "gate_up_proj") for x in reading)
    return [len(reading) - in_mlp, in_mlp]
