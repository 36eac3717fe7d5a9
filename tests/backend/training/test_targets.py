"""Which modules carry an adapter."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from backend.errors import UserError
from backend.model.config import shape_from_config
from backend.plan.plan import Plan
from backend.training import methods

SIZES = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}


@pytest.mark.parametrize(("family", "more"), [("llama", {}), ("qwen3_moe", EXPERTS)], ids=["dense", "experts"])
def test_as_many_parameters_train_as_were_planned(family: str, more: dict[str, int]) -> None:
    config = AutoConfig.for_model(family, **SIZES, **more)
    model = methods.with_adapters(AutoModelForCausalLM.from_config(config), "x", Plan(method="lora", rank=4))
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert trained == shape_from_config(config.to_dict(), family).lora_parameters(4)


def llama() -> Any:
    return AutoModelForCausalLM.from_config(AutoConfig.for_model("llama", **SIZES))


def test_last_names_are_listed_if_they_mean_the_decoder_alone() -> None:
    every = ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"]
    assert methods._targets(llama(), Plan(target_modules="all-linear")) == every
    assert methods._targets(llama(), Plan(target_modules="v_proj,q_proj")) == ["q_proj", "v_proj"]


@pytest.mark.parametrize("listed", ["q_proj,lm_head", "all-linear,lm_head"])
def test_the_head_gets_one_beside_the_others_if_it_is_listed(listed: str) -> None:
    network = llama()
    model = methods.with_adapters(network, "x", Plan(method="lora", rank=4, target_modules=listed))
    trained = {name: p.numel() for name, p in model.named_parameters() if p.requires_grad}
    assert any("lm_head" in name for name in trained) and any("q_proj" in name for name in trained)
    shape = shape_from_config(AutoConfig.for_model("llama", **SIZES).to_dict(), "llama")
    assert sum(trained.values()) == shape.lora_parameters(4, listed)


def test_a_tower_beside_the_decoder_gets_no_adapter() -> None:
    network = llama()
    network.vision_tower = torch.nn.ModuleDict({"q_proj": torch.nn.Linear(4, 4)})
    found = methods._targets(network, Plan(target_modules="q_proj"))
    assert found == ["model.layers.0.self_attn.q_proj", "model.layers.1.self_attn.q_proj"]
    model = methods.with_adapters(network, "x", Plan(method="lora", target_modules="q_proj"))
    assert not [name for name, p in model.named_parameters() if p.requires_grad and "vision_tower" in name]


@pytest.mark.parametrize("name", ["foo", "embed_tokens", "Q_proj"])
def test_a_name_that_is_no_linear_layer_of_the_blocks(name: str) -> None:
    with pytest.raises(UserError, match=f"target_modules: '{name}' is no linear layer in the blocks"):
        methods.with_adapters(llama(), "x", Plan(method="lora", target_modules=f"q_proj,{name}"))
