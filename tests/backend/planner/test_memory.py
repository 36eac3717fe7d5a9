"""The formulas against independent figures: fake-tensor runs and published totals."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from backend.model.shape import ModelShape
from backend.plan.plan import Plan
from backend.planner import fit, memory
from backend.planner.device import Device
from backend.planner.memory import OWN, BatchShape, sharded
from tests.shapes import A100_80, CPU, GIB, H100, LLAMA_1B, LLAMA_8B, LLAMA_70B, RTX_4090, T4, llama, with_layers

MIB = 2**20


def plan(method: str = "lora", **changes: object) -> Plan:
    return replace(Plan(method=method), **changes)  # type: ignore[arg-type]


def mib_per_layer(settings: Plan, length: int = 2048) -> float:
    two, four = (
        memory.predict(with_layers(LLAMA_8B, depth), settings, A100_80, length).peak_allocated_bytes for depth in (2, 4)
    )
    return (four - two) / 2 / MIB


@pytest.mark.parametrize(
    ("settings", "measured"),
    [
        (plan("lora", packing=False), 826.5),
        (plan("lora", packing=False, checkpointing=True), 447),
        (plan("full", packing=False), 3328.5),
    ],
    ids=["lora", "lora checkpointed", "full"],
)
def test_a_layer_of_llama_8b_costs_what_the_trainers_step_costs_under_fake_tensors(
    settings: Plan, measured: float
) -> None:
    # The trainer's own step at 2,048 tokens, batch 1, bf16, 2 and 4 layers; torch 2.13, transformers 5.23, peft 0.21.
    assert mib_per_layer(settings) == pytest.approx(measured, rel=0.05)


MISTRAL_7B = llama(4096, 32, 32, 8, 14336, 32000, tied=False)
LLAMA_2_70B = llama(8192, 80, 64, 8, 28672, 32000, tied=False)


@pytest.mark.parametrize(
    ("shape", "measured_gib"), [(LLAMA_8B, 5.5), (MISTRAL_7B, 3.99), (LLAMA_2_70B, 34.6)], ids=["8B", "7B", "70B"]
)
def test_nf4_weights_and_adapters_match_what_lies_on_a_card_at_rest(shape: ModelShape, measured_gib: float) -> None:
    # fms-acceleration, A100: torch allocated after loading, rank 16 on the attention's linears.
    settings = plan("qlora", target_modules="q_proj,k_proj,v_proj,o_proj")
    at_rest = memory.weights(shape, settings) + memory.adapters(shape, settings)
    assert at_rest / GIB == pytest.approx(measured_gib, rel=0.03)


def test_the_parts_add_up_to_the_peak() -> None:
    for method in ("lora", "qlora", "full"):
        for device in (RTX_4090, CPU):
            seen = memory.predict(LLAMA_1B, plan(method), device, 1024)
            assert sum(seen.by_category.values()) == seen.peak_bytes
            assert seen.by_phase[seen.peak_phase] == seen.peak_allocated_bytes == max(seen.by_phase.values())
            assert seen.peak_bytes > seen.peak_allocated_bytes


def test_qlora_needs_least_and_full_most() -> None:
    peaks = {
        method: memory.predict(LLAMA_8B, plan(method), RTX_4090, 1024).peak_bytes
        for method in ("qlora", "lora", "full")
    }
    assert peaks["qlora"] < peaks["lora"] < peaks["full"]


@pytest.mark.parametrize(
    "leaner", [{"checkpointing": True}, {"chunked_loss": True}, {"rank": 8}], ids=lambda change: next(iter(change))
)
def test_each_saving_saves(leaner: dict[str, object]) -> None:
    base = plan("lora", micro_batch=4, rank=64)
    before = memory.predict(LLAMA_8B, base, A100_80, 2048).peak_bytes
    assert memory.predict(LLAMA_8B, replace(base, **leaner), A100_80, 2048).peak_bytes < before  # type: ignore[arg-type]


def test_the_optimizer_in_the_backward_pass_never_holds_all_gradients() -> None:
    usual, stepped = (
        memory.predict(LLAMA_8B, plan("full", optimizer="adamw_8bit", optimizer_in_backward=inside), A100_80, 512)
        for inside in (False, True)
    )
    saved = usual.by_phase["optimizer"] - stepped.by_phase["optimizer"]
    assert saved == 4 * LLAMA_8B.parameters
    assert stepped.by_phase["backward"] < usual.by_phase["backward"]


def test_float16_holds_its_gradients_whole_whatever_the_plan_says() -> None:
    inside, after = (
        memory.predict(LLAMA_1B, plan("full", precision="float16", optimizer_in_backward=x), RTX_4090, 512)
        for x in (True, False)
    )
    assert inside == after


def test_longer_sequences_and_larger_micro_batches_cost_more() -> None:
    base = memory.predict(LLAMA_1B, plan("lora"), RTX_4090, 1024).peak_bytes
    assert memory.predict(LLAMA_1B, plan("lora"), RTX_4090, 2048).peak_bytes > base
    assert memory.predict(LLAMA_1B, plan("lora", micro_batch=2), RTX_4090, 1024).peak_bytes > base


def test_full_weights_are_sharded_over_devices_and_adapters_are_not() -> None:
    whole = memory.predict(LLAMA_8B, plan("full"), A100_80, 512)
    quarter = memory.predict(LLAMA_8B, plan("full", processes=4), A100_80, 512)
    assert quarter.by_category["optimizer"] == whole.by_category["optimizer"] // 4
    lora = memory.predict(LLAMA_8B, plan("lora", processes=4), A100_80, 512)
    alone = memory.predict(LLAMA_8B, plan("lora"), A100_80, 512)
    assert lora.by_category["weights"] == alone.by_category["weights"]


# torch 2.13's fully_shard over 4 ranks of a fake process group, a Llama-3.1-8B of four blocks in float32, bfloat16 for
# compute, float32 for reducing, 4,096 tokens a rank, by torch's MemTracker under fake tensors: GiB, without optimizer.
@pytest.mark.parametrize(
    ("checkpointing", "moment", "measured"),
    [
        (False, "loss", 13.12),
        (True, "loss", 9.89),
        (True, "bottom", 8.04),
        (False, "embedding", 8.475),
        (True, "embedding", 8.475),
    ],
)
def test_a_sharded_step_takes_what_was_measured(checkpointing: bool, moment: str, measured: float) -> None:
    shape = replace(LLAMA_8B, layers=4, norm_parameters=9 * LLAMA_8B.hidden)
    sharded_plan = plan("full", processes=4, packing=False, checkpointing=checkpointing)
    parts = sharded.peak_points(shape, sharded_plan, BatchShape(1, 4096, 4096))[moment]
    predicted = memory.weights(shape, sharded_plan) // 4 + sum(parts.values())
    assert predicted / 2**30 == pytest.approx(measured, rel=0.03)


def test_what_is_gathered_does_not_shrink_with_more_devices() -> None:
    four, eight = (
        sharded.peak_points(LLAMA_8B, plan("full", processes=count), BatchShape(1, 512, 512))["forward"]
        for count in (4, 8)
    )
    assert four == eight
    whole = sharded.root(LLAMA_8B) + 2 * sharded.block(LLAMA_8B)
    assert four["copies"] == 2 * whole
    assert sharded.root(LLAMA_8B) + LLAMA_8B.layers * sharded.block(LLAMA_8B) == LLAMA_8B.parameters


@pytest.mark.parametrize(
    ("device", "precision", "repeated"),
    [(T4, "float16", True), (A100_80, "bfloat16", False), (A100_80, "float32", True)],
)
def test_grouped_keys_are_repeated_where_no_kernel_takes_them(device: Device, precision: str, repeated: bool) -> None:
    """Keys and values of 32 heads instead of 8 are kept for the backward pass: 16 layers, 64 values a head."""
    own = plan("lora", precision=precision, packing=False, checkpointing=False)
    grouped = memory.predict(LLAMA_1B, own, device, 4096, stack=OWN).by_phase["backward"]
    width = 4 if precision == "float32" else 2
    more = 16 * 4096 * 2 * (32 - 8) * 64 * width if repeated else 0
    assert memory.predict(LLAMA_1B, own, device, 4096).by_phase["backward"] - grouped == more
    masked = plan("lora", precision=precision, packing=True)
    assert memory.predict(LLAMA_1B, masked, device, 4096) == memory.predict(LLAMA_1B, masked, device, 4096, stack=OWN)


def test_without_growing_segments_more_is_kept_free() -> None:
    fixed = replace(A100_80, expandable_segments=False)
    assert fit._for_memory(fixed) != fit._for_memory(A100_80)
    own = plan("lora", micro_batch=4, checkpointing=True)
    assert (
        memory.predict(LLAMA_8B, own, fixed, 2048).peak_bytes > memory.predict(LLAMA_8B, own, A100_80, 2048).peak_bytes
    )


def test_cublas_has_a_workspace_for_each_pass_on_hopper_and_later() -> None:
    """One of 32 MiB for the thread of the forward pass and one for that of the backward pass; 8 MiB before Hopper."""
    settings = plan("lora")
    held = [memory.at_rest(LLAMA_1B, settings, device)["workspace"] for device in (H100, A100_80, CPU)]
    assert held == [64 * 2**20, 8_519_680, 0]


@pytest.mark.parametrize("shape", [LLAMA_1B, LLAMA_8B, LLAMA_70B])
@pytest.mark.parametrize("method", ["lora", "qlora", "full"])
@pytest.mark.parametrize("length", [128, 512, 2048])
def test_what_is_measured_between_steps_is_never_the_peak(shape: ModelShape, method: Any, length: int) -> None:
    """Tested on the leanest plan: recomputed blocks, the loss in chunks, one sequence at a time."""
    plan = Plan(
        method=method,
        quantization="nf4" if method == "qlora" else "none",
        checkpointing=True,
        chunked_loss=True,
        max_length=length,
        measure_forgetting=True,
        task="number",
        sample_prompts="What?\nWhy?\nWhere?\nHow?",
    )
    phases = memory.predict(shape, plan, A100_80, length).by_phase
    step = max(phases[name] for name in ("forward", "backward", "optimizer"))
    assert max(phases[name] for name in ("forgetting", "task", "sample")) <= step
    assert 1 <= memory.task_batch(shape, plan) <= 8
    roomy = replace(plan, checkpointing=False, micro_batch=8)
    assert memory.task_batch(shape, roomy) == 8
    assert not {"forgetting", "task"} & set(memory.predict(shape, Plan(), A100_80, length).by_phase)
