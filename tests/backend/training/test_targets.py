"""Which modules carry an adapter."""

from __future__ import annotations

import pytest
from transformers import AutoConfig, AutoModelForCausalLM

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
