"""Families that presets/families.toml lacks, counted from their files, which are made here without torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from backend.model.local import read_folder
from backend.model.targets import takes_adapter
from tests.tiny import make_tokenizer

SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": 384,
    "intermediate_size": 64,
}


def folder_of(path: Path, tensors: Mapping[str, tuple[int, ...]], **config: Any) -> Path:
    path.mkdir()
    make_tokenizer(path)
    (path / "config.json").write_text(json.dumps({"architectures": ["XForCausalLM"], **config}))
    save_file({name: np.zeros(shape, np.float32) for name, shape in tensors.items()}, path / "model.safetensors")
    return path


def test_an_unlisted_family_has_the_count_and_the_layers_of_its_files(tmp_path: Path) -> None:
    tensors = {
        "model.embed_tokens.weight": (384, 32),
        "model.layers.0.mamba.in_proj.weight": (80, 32),
        "model.layers.0.mamba.out_proj.weight": (32, 64),
        "model.layers.0.mamba.A_log": (64, 8),
        "model.layers.1.self_attn.q_proj.weight": (32, 32),
        "model.layers.1.self_attn.q_proj.bias": (32,),
        "model.layers.1.mlp.gate.weight": (4, 32),
        "model.layers.1.mlp.experts.0.up_proj.weight": (64, 32),
        "model.layers.1.mlp.shared_experts.up_proj.weight": (64, 32),
        "model.norm.weight": (32,),
        "lm_head.weight": (384, 32),
    }
    shape = read_folder(folder_of(tmp_path / "m", tensors, model_type="jamba", **SIZES), "m").shape

    assert shape.parameters == sum(int(np.prod(sizes)) for sizes in tensors.values())
    assert not shape.tied
    assert shape.lora_parameters(4) == 4 * (80 + 32) + 4 * (32 + 32)  # in_proj of one block, q_proj of the other


def test_a_tied_head_that_is_stored_twice_counts_once_and_gpt_names_are_read(tmp_path: Path) -> None:
    tensors = {
        "transformer.wte.weight": (384, 32),
        "transformer.wpe.weight": (64, 32),
        "transformer.h.0.attn.c_attn.weight": (32, 96),
        "transformer.h.0.ln_1.weight": (32,),
        "transformer.h.1.attn.c_attn.weight": (32, 96),
    }
    config = {"model_type": "ctrl", "n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": 384, "n_positions": 64}
    shape = read_folder(folder_of(tmp_path / "m", tensors, **config), "m").shape

    assert (shape.parameters, shape.tied, shape.context) == (384 * 32 + 64 * 32 + 2 * 32 * 96 + 32, True, 64)
    assert shape.lora_parameters(8) == 2 * 8 * (32 + 96)


def test_a_vision_tower_is_counted_and_does_not_train(tmp_path: Path) -> None:
    tensors = {
        "model.language_model.embed_tokens.weight": (384, 32),
        "model.language_model.layers.0.self_attn.q_proj.weight": (32, 32),
        "model.language_model.layers.1.self_attn.q_proj.weight": (32, 32),
        "model.vision_tower.layers.0.attention.q_proj.weight": (48, 48),
        "model.multi_modal_projector.linear_1.weight": (32, 48),
        "lm_head.weight": (384, 32),
    }
    config = {"model_type": "qwen3_vl", "text_config": {"model_type": "qwen3_vl_text", **SIZES}}
    folder = folder_of(tmp_path / "m", tensors, **config, architectures=["Qwen3VLForConditionalGeneration"])
    shape = read_folder(folder, "m").shape

    assert shape.parameters == sum(int(np.prod(sizes)) for sizes in tensors.values())
    assert shape.frozen_parameters == 48 * 48 + 32 * 48


@pytest.mark.parametrize(
    ("module", "takes"),
    [
        ("model.layers.3.self_attn.q_proj", True),
        ("transformer.h.0.attn.c_attn", True),
        ("model.layers.0.mamba.in_proj", True),
        ("model.layers.0.mamba.out_proj", False),  # its kernel uses the matrix directly, without an adapter
        ("backbone.layers.0.mixer.x_proj", False),
        ("model.layers.0.block_sparse_moe.router.layer", False),
        ("model.layers.0.mlp.gate", False),
        ("model.layers.0.mlp.shared_expert_gate", True),
        ("model.visual.blocks.0.attn.qkv", False),
        ("model.vision_tower.encoder.layers.0.self_attn.q_proj", False),
        ("model.per_layer_model_projection", False),  # in no block
        ("lm_head", False),
    ],
)
def test_which_layers_all_linear_means(module: str, takes: bool) -> None:
    assert takes_adapter(module, mixture=False) is takes


def test_names_of_experts_carry_no_adapter_in_a_mixture() -> None:
    assert takes_adapter("model.layers.0.mlp.up_proj", mixture=False)
    assert not takes_adapter("model.layers.0.mlp.up_proj", mixture=True)


@pytest.mark.parametrize("fused", [False, True])
def test_the_experts_of_an_unlisted_family_cost_time(tmp_path: Path, fused: bool) -> None:
    attention = {f"model.layers.{at}.self_attn.q_proj.weight": (32, 32) for at in range(2)}
    experts: dict[str, tuple[int, ...]] = {
        f"model.layers.1.mlp.experts.{number}.{name}.weight": sizes
        for number in range(4)
        for name, sizes in {"up_proj": (16, 32), "gate_proj": (16, 32), "down_proj": (32, 16)}.items()
    }
    if fused:
        experts = {"model.layers.1.moe.experts.gate_up": (4, 32, 32), "model.layers.1.moe.experts.down": (4, 32, 16)}
    tensors = {"model.embed_tokens.weight": (384, 32), "lm_head.weight": (384, 32), **attention, **experts}
    folder = folder_of(tmp_path / "m", tensors, model_type="jamba", num_experts=4, num_experts_per_tok=2, **SIZES)
    shape = read_folder(folder, "m").shape

    assert shape.parameters == sum(int(np.prod(sizes)) for sizes in tensors.values())
    assert shape.matmul_parameters_per_token == 2 * 32 * 32 + 2 * 3 * 16 * 32 + 384 * 32
    assert (shape.experts, shape.intermediate) == (4, 2 * 16)
