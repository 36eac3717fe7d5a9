from __future__ import annotations

import pytest

from backend.model.shape import Linear, ModelShape


def shape(**changes: object) -> ModelShape:
    linears = (Linear("q_proj", 8, 8, bias=True), Linear("v_proj", 8, 4), Linear("down_proj", 20, 8))
    settings: dict[str, object] = {
        "name": "tiny", "family": "llama", "hidden": 8, "layers": 3, "heads": 2, "kv_heads": 1, "head_dim": 4,
        "intermediate": 20, "vocab": 50, "tied": False, "context": 64, "linears": linears, "norm_parameters": 56,
    }  # fmt: skip
    return ModelShape(**{**settings, **changes})  # type: ignore[arg-type]


def test_parameters_are_blocks_embedding_head_and_norms() -> None:
    block = 8 * 8 + 8 + 8 * 4 + 20 * 8

    assert shape().parameters == 3 * block + 50 * 8 + 50 * 8 + 56
    assert shape(tied=True).parameters == shape().parameters - 50 * 8


def test_biases_and_embeddings_are_not_quantised() -> None:
    assert shape().quantizable_parameters == 3 * (64 + 32 + 160)


def test_the_input_embedding_multiplies_no_token_and_the_head_does_even_when_tied() -> None:
    assert shape(tied=True).matmul_parameters_per_token == 3 * (64 + 32 + 160) + 50 * 8


def test_experts_count_all_in_the_whole_and_the_active_ones_per_token() -> None:
    mixture = shape(experts=4, experts_per_token=2, expert_linears=(Linear("down_proj", 10, 8),), router_parameters=96)

    assert mixture.parameters == shape().parameters + 3 * 4 * 80 + 96
    assert mixture.matmul_parameters_per_token == shape().matmul_parameters_per_token + 3 * 2 * 80 + 96
    assert mixture.quantizable_parameters == shape().quantizable_parameters


@pytest.mark.parametrize(
    ("targets", "expected"),
    [("all-linear", 3 * 4 * (16 + 12 + 28)), ("q_proj, v_proj", 3 * 4 * (16 + 12)), ("nothing", 0)],
)
def test_lora_adds_rank_times_both_sides_of_each_target(targets: str, expected: int) -> None:
    assert shape().lora_parameters(4, targets) == expected
