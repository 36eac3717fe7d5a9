"""What the GPU's allocator holds beyond what it handed out, and what other stacks keep."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backend import constants
from backend.plan.plan import Plan
from backend.planner import memory
from backend.planner.memory import OWN, BatchShape, Stack
from backend.planner.memory import activations as counted
from backend.planner.memory.cache import unused
from backend.planner.memory.step import peak_points
from tests.shapes import A100_80, CPU, LLAMA_8B

BATCH = BatchShape(4, 2048, 2048)
LORA = Plan(method="lora", quantization="none", packing=False, checkpointing=True)
FIXED = replace(OWN, expandable_segments=False)


def left(plan: Plan, stack: Stack = FIXED, batch: BatchShape = BATCH) -> int:
    return unused(LLAMA_8B, plan, batch, peak_points(LLAMA_8B, plan, batch, stack), stack)


def test_whole_logits_leave_more_unused_than_chunks() -> None:
    assert left(LORA) > 4 * left(replace(LORA, chunked_loss=True)) > 0


def test_segments_that_grow_keep_little() -> None:
    """What is kept is a block of whole logits (or none) and a share of a recomputed block's backward pass."""
    table, chunked = constants.memory().cuda, replace(LORA, chunked_loss=True)
    top = sum(peak_points(LLAMA_8B, chunked, BATCH)["top"].values())
    assert left(chunked, OWN) == pytest.approx(table.growing_least + table.growing * top, rel=1e-6)
    assert left(LORA, OWN) - left(chunked, OWN) == 2 * BATCH.tokens * LLAMA_8B.vocab
    assert left(LORA, OWN) < left(LORA)
    full = replace(LORA, method="full")
    assert left(full, OWN) - left(replace(full, chunked_loss=True), OWN) == 4 * BATCH.tokens * LLAMA_8B.vocab


def test_over_several_devices_a_part_of_the_rest_remains() -> None:
    sharded = replace(LORA, method="full", processes=2)
    assert left(sharded, OWN) == pytest.approx(constants.memory().cuda.cached_expandable * left(sharded), rel=1e-6)


def test_a_share_of_the_backward_pass_lies_beside_the_update() -> None:
    """Full fine-tuning: the peak is in the update, which doesn't need the memory of a recomputed block."""
    plan = replace(LORA, method="full", weights_dtype="bfloat16", chunked_loss=True)
    short = BatchShape(1, 512, 512)
    step = peak_points(LLAMA_8B, plan, short)
    assert max(step, key=lambda name: sum(step[name].values())) == "optimizer"
    needed = max(
        sum(size for name, size in parts.items() if name in ("activations", "logits")) for parts in step.values()
    )
    assert left(plan, batch=short) == pytest.approx(constants.memory().cuda.cached * needed, rel=0.01)


def test_the_device_must_have_it_and_the_context() -> None:
    seen = memory.predict(LLAMA_8B, LORA, A100_80, 2048)
    context = memory.reserve(A100_80, 0)
    batch = BatchShape(1, 2048, 2048)
    own = unused(LLAMA_8B, LORA, batch, peak_points(LLAMA_8B, LORA, batch))
    assert seen.peak_bytes - seen.peak_allocated_bytes == context + own
    assert context == constants.memory().cuda.context
    assert memory.predict(LLAMA_8B, LORA, CPU, 2048, stack=FIXED) == memory.predict(LLAMA_8B, LORA, CPU, 2048)


def test_with_dropout_an_adapter_keeps_its_own_input_and_nobody_the_shared_one() -> None:
    dropped = replace(LORA, dropout=0.1, target_modules="q_proj")
    assert counted.linear_inputs(LLAMA_8B, dropped) == 0
    between = 2 * LORA.rank
    assert counted.adapter_inputs(LLAMA_8B, dropped) == between + (2 + 1) * LLAMA_8B.hidden


@pytest.mark.parametrize(
    ("stack", "more"),
    [
        (Stack(fused_norms=True), -2 * 2 * LLAMA_8B.hidden),  # 16-bit inputs in place of float32 copies
        (Stack(repeated_keys=True), 2 * 2 * (LLAMA_8B.heads - LLAMA_8B.kv_heads) * LLAMA_8B.head_dim),
        (Stack(swiglu_tensors=2), -2 * LLAMA_8B.intermediate),
    ],
)
def test_another_stack_keeps_more_or_less_of_a_block(stack: Stack, more: int) -> None:
    own = counted.block(LLAMA_8B, LORA, BATCH)
    assert counted.block(LLAMA_8B, LORA, BATCH, stack) - own == BATCH.tokens * more


def test_another_stacks_update_copies_what_trains() -> None:
    plan = replace(LORA, method="full", weights_dtype="bfloat16")
    stack = Stack(narrow_states=True, foreach=True)
    assert memory.optimizer_states(LLAMA_8B, plan, stack) == 4 * LLAMA_8B.parameters
    assert peak_points(LLAMA_8B, plan, BATCH, stack)["optimizer"]["workspace"] == 2 * LLAMA_8B.parameters
