"""A step on a GPU, by hand: operations and bytes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backend import constants
from backend.plan.plan import Plan
from backend.planner import gpu_time
from backend.planner.gpu_time import Pass
from tests.shapes import A100_80, H100, LLAMA_8B, RTX_4090, T4

FULL = Plan(method="full", quantization="none")
LORA = Plan(method="lora", quantization="none")
QLORA = Plan(method="qlora")


def test_operations_of_a_token() -> None:
    n, head = LLAMA_8B.matmul_parameters_per_token, 128256 * 4096
    assert n == 7_504_658_432  # all weights but the input embedding and the norms
    assert gpu_time.dense_flops(LLAMA_8B, FULL) == pytest.approx(6 * n, rel=1e-9)
    assert gpu_time.dense_flops(LLAMA_8B, LORA) == pytest.approx(4 * n + 6 * LLAMA_8B.lora_parameters(16), rel=1e-9)
    assert gpu_time.dense_flops(LLAMA_8B, FULL, scored=0.5) == pytest.approx(6 * (n - head / 2), rel=1e-9)
    recomputed = constants.throughput().gpu.recompute
    again = gpu_time.dense_flops(LLAMA_8B, replace(FULL, checkpointing=True)) - gpu_time.dense_flops(LLAMA_8B, FULL)
    assert again == pytest.approx(2 * recomputed * (n - head), rel=1e-9)
    assert gpu_time.attention_flops(LLAMA_8B, FULL, attended=2048) == 2 * 2048 * 4096 * 32 * 3


def test_few_tokens_cost_as_much_as_reading_the_weights() -> None:
    def tokens_per_second(tokens: float, plan: Plan = FULL) -> float:
        return tokens / gpu_time.pass_seconds(LLAMA_8B, plan, A100_80, Pass(tokens, 2048, 1.0))

    assert tokens_per_second(64) < 0.3 * tokens_per_second(16384)
    assert tokens_per_second(16384) == pytest.approx(tokens_per_second(65536), rel=0.05)
    read = 2 * 2 * LLAMA_8B.parameters / A100_80.bytes_per_second
    assert gpu_time.pass_seconds(LLAMA_8B, LORA, A100_80, Pass(1, 1, 1.0)) > read


def test_the_host_bounds_a_small_micro_batch() -> None:
    waiting = gpu_time.launch_seconds(LLAMA_8B, LORA)
    assert gpu_time.pass_seconds(LLAMA_8B, LORA, H100, Pass(128, 128, 1.0)) == waiting
    assert (
        gpu_time.launch_seconds(LLAMA_8B, FULL)
        < waiting
        < gpu_time.launch_seconds(LLAMA_8B, replace(LORA, checkpointing=True))
    )


def test_four_bit_weights_are_unpacked_in_every_pass() -> None:
    more = gpu_time.weight_bytes(LLAMA_8B, QLORA) - gpu_time.weight_bytes(LLAMA_8B, LORA)
    assert more == 2 * 2.5 * LLAMA_8B.quantizable_parameters


def test_the_optimizer_of_full_is_no_small_matter_and_its_8_bit_one_less() -> None:
    whole = gpu_time.optimizer_bytes(LLAMA_8B, FULL)
    assert whole / A100_80.bytes_per_second > 0.1  # seconds a step
    assert gpu_time.optimizer_bytes(LLAMA_8B, replace(FULL, optimizer="adamw_8bit")) < whole
    assert gpu_time.optimizer_bytes(LLAMA_8B, LORA) < 0.01 * whole


def test_a_class_by_name_then_by_capability_then_the_widest_interval() -> None:
    assert gpu_time.gpu_class(RTX_4090).names == ("RTX 4090",)
    assert gpu_time.gpu_class(A100_80).compute_capability == (8, 0)
    other = gpu_time.gpu_class(T4)
    assert not other.names and other.compute_capability is None
    assert gpu_time.spread(LLAMA_8B, LORA, T4) > gpu_time.spread(LLAMA_8B, LORA, A100_80)
    several = replace(LORA, processes=2)
    assert gpu_time.spread(LLAMA_8B, several, A100_80) > gpu_time.spread(LLAMA_8B, LORA, A100_80)
