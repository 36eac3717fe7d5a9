"""Seconds of an optimizer step on a GPU: matrix products, attention, memory traffic and kernel launches.

The constants are in presets/throughput.toml, fitted to published runs; tests/bench/throughput.py shows the error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

from backend import constants
from backend.constants.throughput_toml import GpuClass, KernelTraffic
from backend.model.shape import Linear, ModelShape
from backend.plan.plan import Plan
from backend.planner import memory, nodes
from backend.planner.device import Device

Kernels = Literal["stock", "liger", "compiled", "upcast", "fused"]
"""Kernels of the trainer: transformers' own (`stock`), Liger's, compiled blocks. `upcast` and `fused` are kernels of
other trainers, for their published runs."""


@dataclass(frozen=True)
class Pass:
    """The input of one forward and backward pass on one device."""

    tokens: float
    """Tokens, padding included."""
    attended: float
    """Length of the sequence that a token attends within, mean over the tokens."""
    scored: float
    """Part of the tokens that are target tokens: the head computes their logits."""


def step_seconds(
    shape: ModelShape,
    plan: Plan,
    device: Device,
    one: Pass,
    passes: int,
    kernels: Kernels = "stock",
    attention: float = 1.0,
) -> float:
    """Seconds of one optimizer step of `passes` micro-batches on each device, its bandwidth and rate known.

    `attention`: factor on the share of the peak rate that attention usually reaches.
    """
    table = constants.throughput().gpu
    bandwidth = table.bandwidth * device.bytes_per_second
    once = pass_seconds(shape, plan, device, one, kernels, attention)
    update = optimizer_bytes(shape, plan) / plan.processes / bandwidth
    slower = 1 / table.several if plan.processes > 1 else 1.0
    if device.nodes == 1:
        return float((passes * once + update) * slower)
    sent = nodes.pass_bytes(shape, plan) / device.node_bytes_per_second
    trained = passes * _side_by_side(once * slower, sent)  # the next block is gathered while one computes
    return float(trained + update * slower + nodes.step_bytes(shape, plan) / device.node_bytes_per_second)


def pass_seconds(
    shape: ModelShape, plan: Plan, device: Device, one: Pass, kernels: Kernels = "stock", attention: float = 1.0
) -> float:
    """Seconds of one micro-batch, forward and backward: the GPU's, or the host's if launching kernels takes longer.

    `attention`: factor on the share of the peak rate that attention usually reaches.
    """
    table, reach = constants.throughput(), gpu_class(device)
    products = _product_seconds(shape, plan, device, one, kernels, attention)
    moved = one.tokens * activation_bytes(shape, plan, one, kernels) + weight_bytes(shape, plan)
    moved += lengths_bytes(shape, plan)
    seconds = one.tokens * products + lengths_flops(shape, plan) / (reach.matmul * _rate(plan, device))
    seconds += moved / (table.gpu.bandwidth * device.bytes_per_second)
    if plan.activation_offload:
        link = reach.host_link_bytes_per_second or table.gpu.host_link_bytes_per_second
        seconds += one.tokens * offloaded_bytes(shape) / link
    return _side_by_side(seconds, launch_seconds(shape, plan, kernels) * (device.host or reach.host))


def _product_seconds(
    shape: ModelShape, plan: Plan, device: Device, one: Pass, kernels: Kernels, attention: float
) -> float:
    """Seconds of a token's matrix products and its attention."""
    table, reach, rate = constants.throughput().gpu, gpu_class(device), _rate(plan, device)
    dense = dense_flops(shape, plan, one.scored) / (reach.matmul * rate)
    share = reach.attention * attention
    if _traffic(kernels).wide:
        head = dense_flops(shape, plan, one.scored) - dense_flops(shape, plan, 0.0)
        dense += head / (table.float32_rate * rate) - head / (reach.matmul * rate)
        share = min(share, table.float32_attention * table.float32_rate)
    return dense + attention_flops(shape, plan, one.attended) / (share * rate)


def _side_by_side(gpu: float, host: float) -> float:
    """The longer of the two, or somewhat more if they are nearly equal: then each sometimes waits for the other."""
    power = constants.throughput().gpu.overlap
    return float((gpu**power + host**power) ** (1 / power))


def _rate(plan: Plan, device: Device) -> float:
    """Peak FLOP/s in the plan's compute type."""
    slower = constants.throughput().gpu.float32_rate if plan.precision == "float32" else 1.0
    return float(device.flops_per_second * slower)


def kernels_of(plan: Plan) -> Kernels:
    """The entry of presets/throughput.toml for the kernels of a plan."""
    own: dict[str, Kernels] = {"stock": "stock", "fused": "liger", "compiled": "compiled"}
    return "compiled" if plan.compile else own[plan.kernels]


def spread(shape: ModelShape, plan: Plan, device: Device) -> float:
    """Factor by which a step may take longer or shorter than estimated; wider for what few published runs cover."""
    table = constants.throughput().gpu
    factor = gpu_class(device).spread
    for applies, wider in (
        (plan.processes > 1, table.several_spread),
        (device.nodes > 1, table.nodes_spread),
        (shape.experts > 0, table.experts_spread),
        (plan.precision == "float32", table.float32_spread),
        (kernels_of(plan) != "stock", table.kernels_spread),
    ):
        factor *= wider if applies else 1.0
    return float(factor)


def forward_share(plan: Plan) -> float:
    """Part of a training pass that the forward pass alone takes."""
    return 1 / (2 + (plan.method == "full") + plan.checkpointing)


def gpu_class(device: Device) -> GpuClass:
    """The entry of presets/throughput.toml for a GPU: by its name, else by its compute capability, else the last."""
    return next(x for x in constants.throughput().gpu_classes if _matches(x, device))


def _matches(entry: GpuClass, device: Device) -> bool:
    if entry.names:
        return (device.slowest or device.name) in entry.names
    return (device.compute_capability or ())[: len(entry.compute_capability)] == entry.compute_capability


def _traffic(kernels: Kernels) -> KernelTraffic:
    table = constants.throughput().kernels
    return cast(KernelTraffic, getattr(table, kernels))


def dense_flops(shape: ModelShape, plan: Plan, scored: float = 1.0) -> float:
    """Floating-point operations of a token's matrix products.

    2N forward, 2N for the gradient of the activations, 2N for that of the weights (full only: frozen weights need
    none), 2N more if checkpointing recomputes; N counts the weights that multiply a token. The head works on the target
    tokens only and is never recomputed. Adapters do all three for their own weights.
    """
    head = shape.vocab * shape.hidden
    blocks = shape.matmul_parameters_per_token - head
    full = plan.method == "full"
    adapters = 0 if full else shape.lora_parameters(plan.rank, plan.target_modules)
    recomputed = plan.checkpointing * constants.throughput().gpu.recompute
    head_passes = 2 + (full or bool(memory.head_gradient(shape, plan)))
    return float(2 * (blocks * (2 + full + recomputed) + head * scored * head_passes + adapters * (3 + recomputed)))


def lengths_flops(shape: ModelShape, plan: Plan) -> float:
    """Operations per micro-batch for DoRA's row norms, whatever its tokens: an identity matrix through each adapter.

    Once forward, and once more if checkpointing recomputes. Not measured on a GPU.
    """
    targets = _with_lengths(shape, plan)
    each = sum(shape.blocks_of(x) * 2 * x.inputs * plan.rank * (x.inputs + x.outputs) for x in targets)
    return float(each * (1 + plan.checkpointing))


def lengths_bytes(shape: ModelShape, plan: Plan) -> float:
    """Bytes per micro-batch for DoRA's row norms: the identity in float32 and cast; the product, summed and read."""
    width = memory.compute_bytes(plan)
    square, weight = 2 * memory.FLOAT32 + 2 * width, 8 * width
    targets = _with_lengths(shape, plan)
    each = sum(shape.blocks_of(x) * (x.inputs**2 * square + x.weights * weight) for x in targets)
    return float(each * (1 + plan.checkpointing))


def _with_lengths(shape: ModelShape, plan: Plan) -> tuple[Linear, ...]:
    return shape.lora_targets(plan.target_modules) if plan.use_dora and plan.method != "full" else ()


def attention_flops(shape: ModelShape, plan: Plan, attended: float) -> float:
    """Operations of a token's attention: scores and values over, on average, half of the sequence (it is causal).

    2 x length x width x layers a pass: one forward, two backward, one more if checkpointing recomputes.
    """
    return 2 * attended * shape.heads * shape.head_dim * shape.layers * (3 + plan.checkpointing)


def activation_bytes(shape: ModelShape, plan: Plan, one: Pass, kernels: Kernels = "stock") -> float:
    """Bytes moved per token besides the matrix products: norms, residuals, rotary positions, gate, adapters, loss.

    Eager attention moves the scores of each token with all of its sequence, those in its future included.
    """
    table = _traffic(kernels)
    block = table.hidden * shape.hidden + table.mlp * shape.intermediate
    block += table.heads * (shape.heads + shape.kv_heads) * shape.head_dim
    if plan.method != "full":
        targets = shape.lora_targets(plan.target_modules)
        block += sum(table.adapter_inputs * x.inputs + table.adapter_outputs * x.outputs for x in targets)
    if plan.attention == "eager":
        block += table.scores * shape.heads * one.attended
    wider = memory.compute_bytes(plan) / memory.SIXTEEN_BIT
    return float(wider * (shape.layers * block * (3 + plan.checkpointing) + table.logits * shape.vocab * one.scored))


def weight_bytes(shape: ModelShape, plan: Plan) -> float:
    """Bytes moved for the weights in a micro-batch, however few its tokens: read, cast, dequantised, and gradients."""
    table = constants.throughput().traffic
    passes = 2 + plan.checkpointing
    moved = table.weight_read * shape.parameters * passes
    if plan.method == "qlora":
        moved += table.nf4 * shape.quantizable_parameters * passes
    if plan.method == "full":
        wide = memory.compute_bytes(plan) < memory.trained_bytes(plan)
        moved += shape.parameters * (table.cast * (passes - 1) * wide + (table.gradient if wide else table.gradient_16))
    return float(moved)


def optimizer_bytes(shape: ModelShape, plan: Plan) -> float:
    """Bytes that the optimizer moves a step: clipping, weights, gradients and states, read and written."""
    table = constants.throughput().optimizer_bytes
    moved = table.bfloat16 if memory.trained_bytes(plan) == memory.SIXTEEN_BIT else table.float32
    return float(memory.trainable(shape, plan) * moved.of(plan.optimizer))


def offloaded_bytes(shape: ModelShape) -> float:
    """Bytes moved for a token to host memory and back: the input of every block, in 16 bits."""
    return 2.0 * memory.SIXTEEN_BIT * shape.hidden * shape.layers


def launch_seconds(shape: ModelShape, plan: Plan, kernels: Kernels = "stock") -> float:
    """Seconds that an A100's host needs to launch the kernels of one micro-batch; a GPU that is faster has to wait.

    A block has more kernels for each linear layer with an adapter, and for each that is dequantised from 4 bits.
    """
    table = _traffic(kernels)
    block = table.block_seconds
    if plan.method != "full":
        block += table.adapter_seconds * len(shape.lora_targets(plan.target_modules))
    if plan.method == "qlora":
        block += table.nf4_seconds * len(shape.linears)
    return float(shape.layers * (3 + plan.checkpointing) * block)
