"""The peak of a training run on one device, in closed form: one function a component, each with its formula's source.

Elements are counted from the shape and the plan; bytes an element come from the plan's types and presets/memory.toml.
What autograd keeps was counted on transformers' modules and holds against the same step under fake tensors:
8B Llama, 2,048 tokens: LoRA 1,040 MiB a layer, QLoRA 732, LoRA with checkpointing 447.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from backend.model.shape import ModelShape
from backend.planner import constants
from backend.planner.device import Device
from backend.planner.outlook import Memory
from backend.planner.plan import Plan

SIXTEEN_BIT = 2
FLOAT32 = 4


@dataclass(frozen=True)
class Batch:
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


def predict(
    shape: ModelShape, plan: Plan, device: Device, length: int, scored: int | None = None, stored_bytes: int = 0
) -> Memory:
    """Peak bytes by category and by phase for micro-batches of `plan.micro_batch` sequences of `length` tokens.

    `scored`: tokens of a sequence that are in the loss, all of them where it is left out. `stored_bytes`: the weights'
    files, which a CPU maps into its memory while loading.
    """
    batch = Batch(plan.micro_batch, length, length if scored is None else scored)
    shards = plan.processes if plan.method == "full" else 1
    always = {
        "weights": weights(shape, plan) // shards,
        "adapters": adapters(shape, plan),
        "optimizer": optimizer_states(shape, plan) // shards,
        "workspace": workspace(shape, plan, device) + (gathered_block(shape) if shards > 1 else 0),
    }
    copies = autocast_copies(shape, plan)
    kept = kept_activations(shape, plan, batch)
    block = block_activations(shape, plan, batch)
    passing = block_gradients(shape, plan, batch)
    grads = gradients(shape, plan) // shards
    loss = logits(shape, plan, batch)
    phases: dict[str, dict[str, int]] = {
        "load": {"weights": weights(shape, plan) + (stored_bytes if device.kind == "cpu" else 0)},
        "forward": {**always, "copies": copies, "activations": kept, "logits": loss},
        "backward": {**always, "copies": copies // shape.layers, "activations": block + passing, "gradients": grads},
        "optimizer": {**always, "gradients": grads},
        "eval": {**always, "copies": copies, "activations": block // 2, "logits": loss // 2},
    }
    if plan.checkpointing:
        # The first block to be recomputed still has every block's input beside it.
        phases["backward"]["activations"] = kept + block + passing
        phases["backward"]["gradients"] = grads if plan.method != "full" else grads // shape.layers
    return _memory(phases, plan, device)


def _memory(phases: Mapping[str, Mapping[str, int]], plan: Plan, device: Device) -> Memory:
    totals = {name: sum(parts.values()) for name, parts in phases.items()}
    peak_phase = max(totals, key=lambda name: totals[name])
    parts = dict(phases[peak_phase])
    passing = sum(parts.get(name, 0) for name in ("activations", "logits", "gradients", "copies"))
    parts["reserve"] = reserve(plan, device, passing)
    parts["weights"] += parts.pop("copies", 0)
    allocated = totals[peak_phase]
    return Memory(
        peak_bytes=allocated + parts["reserve"],
        peak_allocated_bytes=allocated,
        peak_phase=peak_phase,
        by_category={name: size for name, size in parts.items() if size},
        by_phase=totals,
    )


def weights(shape: ModelShape, plan: Plan) -> int:
    """The model's own weights as they lie on the device.

    NF4 with double quantisation: 4 bits, an 8-bit scale a block of 64 and a float32 one for 256 of those
    (QLoRA 2305.14314), linear layers of the blocks only; embedding, head, norms and biases stay in the compute type.
    """
    if plan.method != "qlora":
        return shape.parameters * weight_bytes(plan)
    table = constants.memory()["quantisation"]
    block, nested = table["nf4_block"], table["nf4_nested_block"]
    bits = 4 + 8 / block + 32 / (block * nested)
    quantised = shape.quantizable_parameters
    return int(quantised * bits / 8) + (shape.parameters - quantised) * compute_bytes(plan)


def compute_bytes(plan: Plan) -> int:
    """Bytes of one activation element."""
    return FLOAT32 if plan.precision == "float32" else SIXTEEN_BIT


def weight_bytes(plan: Plan) -> int:
    """Bytes of one weight: full fine-tuning keeps float32 weights so that small updates do not round away."""
    return FLOAT32 if plan.method == "full" else compute_bytes(plan)


def autocast_copies(shape: ModelShape, plan: Plan) -> int:
    """16-bit copies of float32 weights that train: autocast makes them, and autograd keeps them to the backward pass.

    The embedding is looked up as it is; the head is copied.
    """
    if compute_bytes(plan) == FLOAT32 or trained_bytes(plan) != FLOAT32:
        return 0
    if plan.method != "full":
        return trainable(shape, plan) * SIXTEEN_BIT
    return (shape.block_linear_parameters + shape.vocab * shape.hidden) * SIXTEEN_BIT


def trainable(shape: ModelShape, plan: Plan) -> int:
    """Elements that train."""
    if plan.method == "full":
        return shape.parameters
    return shape.lora_parameters(plan.rank, plan.target_modules)


def trained_bytes(plan: Plan) -> int:
    """Bytes of one trained element (and of its gradient)."""
    if plan.method == "full":
        return FLOAT32
    return FLOAT32 if plan.adapter_dtype == "float32" else SIXTEEN_BIT


def adapters(shape: ModelShape, plan: Plan) -> int:
    """LoRA's matrices; peft keeps them in float32 over a 16-bit base."""
    return 0 if plan.method == "full" else trainable(shape, plan) * trained_bytes(plan)


def gradients(shape: ModelShape, plan: Plan) -> int:
    """One gradient a trained element; with the optimizer in the backward pass only the largest parameter's."""
    if plan.optimizer_in_backward and plan.method == "full":
        return shape.vocab * shape.hidden * trained_bytes(plan)
    return trainable(shape, plan) * trained_bytes(plan)


def optimizer_states(shape: ModelShape, plan: Plan) -> int:
    """The optimizer's states, by presets/memory.toml; Adafactor keeps one row and one column a matrix."""
    if plan.optimizer == "adafactor":
        block = sum(x.inputs + x.outputs for x in shape.linears) + shape.experts * sum(
            x.inputs + x.outputs for x in shape.expert_linears
        )
        return (shape.layers * block + shape.vocab + shape.hidden) * FLOAT32
    return int(trainable(shape, plan) * constants.memory()["optimizer"][plan.optimizer])


def block_activations(shape: ModelShape, plan: Plan, batch: Batch) -> int:
    """What autograd keeps of one block, counted on transformers' modules under autocast.

    Norms: a float32 copy of their input, and its 16-bit result where their weight trains. Attention: queries, keys
    and values (repeated to the queries' heads where packed rows need a mask), one float32 a head. The gated MLP: gate,
    its activation and up. Linear layers: the inputs that a trained weight or adapter needs (qkv's, o's, gate and up's,
    down's).
    """
    table = constants.memory()["activations"]
    width = compute_bytes(plan)
    query, key = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    norms = _norms_per_block(shape) * (
        shape.hidden * (table["norm_upcast"] + (width if plan.method == "full" else 0)) + FLOAT32
    )
    attention = width * query + table["lse"] * shape.heads + _keys_and_values(plan, batch, query, key)
    mlp = width * table["swiglu_tensors"] * shape.intermediate
    inputs = width * (2 * shape.hidden + query + shape.intermediate)
    if plan.method != "full":
        inputs += width * plan.rank * len(shape.lora_targets(plan.target_modules))
    return int(batch.tokens * (norms + attention + mlp + inputs))


def _keys_and_values(plan: Plan, batch: Batch, query: int, key: int) -> int:
    """Bytes a token: with a mask keys and values are repeated to the queries' heads, and the mask is kept."""
    width = compute_bytes(plan)
    if plan.attention == "eager":
        return width * 2 * query + batch.length * (width + FLOAT32)
    masked = plan.packing and plan.attention == "sdpa"
    return width * (2 * query + batch.length) if masked else width * 2 * key


def block_gradients(shape: ModelShape, plan: Plan, batch: Batch) -> int:
    """Gradients of activations alive at once while one block goes backward: the MLP's, and the residual's."""
    return batch.tokens * compute_bytes(plan) * (2 * shape.intermediate + 2 * shape.hidden)


def kept_activations(shape: ModelShape, plan: Plan, batch: Batch) -> int:
    """What is kept of all blocks from forward to backward; with checkpointing only each block's input."""
    if plan.checkpointing:
        kept = 0 if plan.activation_offload else shape.layers
        return kept * batch.tokens * shape.hidden * compute_bytes(plan)
    return shape.layers * block_activations(shape, plan, batch)


def logits(shape: ModelShape, plan: Plan, batch: Batch) -> int:
    """Logits of the scored tokens with their float32 copy, log-softmax and gradient; one chunk where it is chunked.

    Chunked, the gradient of the hidden states is made beside it, and of the head where that trains: twice.
    """
    table = constants.memory()["logits"]
    tokens = batch.scored_tokens
    if not plan.chunked_loss:
        return int(tokens * shape.vocab * table["whole"])
    rows = min(tokens, chunk_rows(tokens, shape.hidden, shape.vocab))
    states = 2 * tokens * shape.hidden * compute_bytes(plan)
    head = 2 * shape.vocab * shape.hidden * FLOAT32 if plan.method == "full" else 0
    return int(rows * shape.vocab * table["chunked"]) + states + head


def chunk_rows(positions: int, hidden: int, vocab: int) -> int:
    """Scored tokens in one chunk of the loss: logits of about as many bytes as the hidden states, and at least 128."""
    return max(int(constants.memory()["logits"]["chunk_minimum"]), -(-positions * hidden // vocab))


def workspace(shape: ModelShape, plan: Plan, device: Device) -> int:
    """Scratch of cuBLAS, and one dequantised weight while NF4 goes backward."""
    largest = max((x.weights for x in (*shape.linears, *shape.expert_linears)), default=0)
    dequantised = largest * compute_bytes(plan) if plan.method == "qlora" else 0
    return dequantised + (_by_architecture(device, "cublas") if device.kind == "cuda" else 0)


def gathered_block(shape: ModelShape) -> int:
    """One block's weights, gathered whole while it runs, where they are sharded over several devices."""
    return shape.block_linear_parameters // shape.layers * SIXTEEN_BIT


def reserve(plan: Plan, device: Device, passing: int) -> int:
    """What the device must have beyond allocated tensors: context or interpreter, and the allocator's slack.

    `passing` is what comes and goes in a step, in bytes: that is what fragments.
    """
    if device.kind == "cpu":
        table = constants.memory()["cpu"]
        return int(table["runtime"] + table["slack"] * passing)
    slack = constants.memory()["cuda"]["slack_chunked" if plan.chunked_loss else "slack_whole"]
    return int(_by_architecture(device, "context") + slack * passing)


def _by_architecture(device: Device, name: str) -> int:
    table = constants.memory()["cuda"]
    hopper_or_later = (device.compute_capability or (0, 0)) >= (9, 0)
    return int(table[f"{name}_hopper"] if hopper_or_later else table[name])


def _norms_per_block(shape: ModelShape) -> int:
    return max(2, round((shape.norm_parameters - shape.hidden) / (shape.layers * shape.hidden)))
