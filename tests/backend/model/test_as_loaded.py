"""Layers that the files name or group differently from the model: read as transformers loads them."""

from __future__ import annotations

import pytest

from backend.model import architectures, as_loaded

MANY = {
    "model.L_module.layers.0.attn.gqkv_proj.weight": (256, 64),
    "model.L_module.layers.0.mlp.gate_up_proj.weight": (256, 64),
    "model.L_module.layers.0.attn.o_proj.weight": (64, 64),
}


def test_a_matrix_that_holds_several_layers_is_divided() -> None:
    assert as_loaded.convert(MANY, {"model_type": "hrm_text"}) == {
        "model.L_module.layers.0.self_attn.gate_proj.weight": (64, 64),
        "model.L_module.layers.0.self_attn.q_proj.weight": (64, 64),
        "model.L_module.layers.0.self_attn.k_proj.weight": (64, 64),
        "model.L_module.layers.0.self_attn.v_proj.weight": (64, 64),
        "model.L_module.layers.0.mlp.gate_proj.weight": (128, 64),
        "model.L_module.layers.0.mlp.up_proj.weight": (128, 64),
        "model.L_module.layers.0.self_attn.o_proj.weight": (64, 64),
    }


def test_matrices_that_become_one_are_joined_and_those_of_experts_stay() -> None:
    stored = {
        "model.layers.0.linear_attn.q_conv1d.weight": (32, 1, 4),
        "model.layers.0.linear_attn.k_conv1d.weight": (32, 1, 4),
        "model.layers.0.linear_attn.v_conv1d.weight": (64, 1, 4),
    }
    joined = {"model.layers.0.linear_attn.conv1d.weight": (128, 1, 4)}
    expert = {"model.layers.0.mlp.experts.0.gate_proj.weight": (16, 8)}
    assert as_loaded.convert(stored, {"model_type": "olmo_hybrid"}) == joined
    assert as_loaded.convert(expert, {"model_type": "afmoe"}) == expert  # by the steps of another family's name


@pytest.mark.parametrize(
    ("family", "stored", "loaded"),
    [
        ("inkling2_text", "model.llm.layers.1.attn.wq_du.weight", "model.layers.1.self_attn.q_proj.weight"),
        (
            "inkling2_text",
            "model.llm.layers.1.attn_sconv.weight",
            "model.layers.1.post_attention_convolution.conv1d.weight",
        ),
        ("hy_v4", "model.layers.0.self_attn.linear_gate.weight", "model.layers.0.self_attn.gate_proj.weight"),
        ("inkling2_text", "model.llm.layers.1.mlp.gate.bias", "model.layers.1.mlp.gate.e_score_correction_bias"),
        ("llama", "model.layers.0.self_attn.q_proj.weight", "model.layers.0.self_attn.q_proj.weight"),
        ("no such family", "a.weight", "a.weight"),
    ],
)
def test_names_are_those_of_the_model(family: str, stored: str, loaded: str) -> None:
    (found,) = as_loaded.convert({stored: (8,)}, {"model_type": family})
    assert found.replace("q_proj.linear.", "q_proj.") == loaded, "transformers 5.24 wraps one of these layers"


def test_a_class_has_steps_too() -> None:
    config = {"model_type": "gpt_neox", "architectures": ["GPTNeoXForCausalLM"]}
    assert as_loaded.convert({"embed_out.weight": (384, 64)}, config) == {"lm_head.weight": (384, 64)}


def test_a_router_s_bias_is_a_buffer_in_one_family_and_a_parameter_in_another() -> None:
    inkling, laguna = architectures.kept(("inkling2_text",)), architectures.kept(("laguna",))
    assert "e_score_correction_bias" in inkling.buffers
    assert "e_score_correction_bias" not in laguna.buffers
    assert laguna.frozen == {"e_score_correction_bias"}
    assert architectures.kept(("llama", "no/such")).frozen == frozenset()
