"""A step on a GPU, computed by hand: operations and bytes."""

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
    assert gpu_time.pass_seconds(LLAMA_8B, LORA, H100, Pass(128, 128, 1.0)) == pytest.approx(waiting, rel=0.01)
    assert (
        gpu_time.launch_seconds(LLAMA_8B, FULL)
        < waiting
        < gpu_time.launch_seconds(LLAMA_8B, replace(LORA, checkpointing=True))
    )


def test_a_slow_host_bounds_more_and_this_box_is_measured() -> None:
    few = Pass(128, 128, 1.0)
    here = gpu_time.pass_seconds(LLAMA_8B, LORA, replace(H100, host=3.0), few)
    assert here == pytest.approx(3 * gpu_time.launch_seconds(LLAMA_8B, LORA), rel=0.01)
    assert gpu_time.pass_seconds(LLAMA_8B, LORA, T4, Pass(16, 16, 1.0)) > 2 * gpu_time.launch_seconds(LLAMA_8B, LORA)


def test_gpu_and_host_wait_for_each_other_if_they_are_equally_fast() -> None:
    waiting = gpu_time.launch_seconds(LLAMA_8B, LORA)
    alone = gpu_time.pass_seconds(LLAMA_8B, LORA, replace(H100, host=1e-6), Pass(1024, 1024, 1.0))
    both = gpu_time.pass_seconds(LLAMA_8B, LORA, replace(H100, host=alone / waiting), Pass(1024, 1024, 1.0))
    assert both == pytest.approx(alone * 2**0.25)


def test_adapters_and_four_bit_weights_have_kernels_of_their_own() -> None:
    few, all_linear = replace(LORA, target_modules="q_proj"), gpu_time.launch_seconds(LLAMA_8B, LORA)
    assert gpu_time.launch_seconds(LLAMA_8B, few) < all_linear < gpu_time.launch_seconds(LLAMA_8B, QLORA)


def test_eager_attention_moves_its_scores() -> None:
    eager, one = replace(LORA, attention="eager"), Pass(2048, 2048, 1.0)
    more = gpu_time.activation_bytes(LLAMA_8B, eager, one) - gpu_time.activation_bytes(LLAMA_8B, LORA, one)
    assert more == 22 * 32 * 2048 * 32 * 3  # bytes x heads x length x blocks x passes


def test_four_bit_weights_are_unpacked_in_every_pass() -> None:
    more = gpu_time.weight_bytes(LLAMA_8B, QLORA) - gpu_time.weight_bytes(LLAMA_8B, LORA)
    assert more == 2 * 2.5 * LLAMA_8B.quantizable_parameters


def test_the_optimizer_of_full_takes_time_and_its_8_bit_one_takes_less() -> None:
    whole = gpu_time.optimizer_bytes(LLAMA_8B, FULL)
    assert whole / A100_80.bytes_per_second > 0.1  # seconds a step
    assert gpu_time.optimizer_bytes(LLAMA_8B, replace(FULL, optimizer="adamw_8bit")) < whole
    assert gpu_time.optimizer_bytes(LLAMA_8B, LORA) < 0.01 * whole


def test_a_class_by_name_then_by_capability_then_the_widest_interval() -> None:
    assert "RTX 4090" in gpu_time.gpu_class(RTX_4090).names
    assert gpu_time.gpu_class(A100_80).compute_capability == (8, 0)
    assert gpu_time.gpu_class(T4).compute_capability == (7, 5)
    other = gpu_time.gpu_class(replace(T4, name="a new GPU", compute_capability=(13, 0)))
    assert not other.names and not other.compute_capability
    assert gpu_time.gpu_class(replace(RTX_4090, name="RTX 6000 Ada")).compute_capability == (8, 9)
    assert gpu_time.gpu_class(replace(H100, name="B300 SXM", compute_capability=(10, 3))).compute_capability == (10,)
    assert gpu_time.spread(LLAMA_8B, LORA, T4) > gpu_time.spread(LLAMA_8B, LORA, A100_80)
    several = replace(LORA, processes=2)
    assert gpu_time.spread(LLAMA_8B, several, A100_80) > gpu_time.spread(LLAMA_8B, LORA, A100_80)
