"""Counts and module names of every family, held against the real classes on the meta device. The only torch here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from backend.model.config import shape_from_config
from backend.model.family import families
from backend.model.shape import Linear, ModelShape

pytestmark = pytest.mark.torch

BASE = {
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "vocab_size": 131,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
EXPERTS = {"num_experts_per_tok": 2, "moe_intermediate_size": 24}
CASES: list[tuple[str, dict[str, Any]]] = [
    ("llama", {}),
    ("llama", {"tie_word_embeddings": True, "attention_bias": True, "mlp_bias": True, "head_dim": 16}),
    ("mistral", {"head_dim": 12}),
    ("ministral3", {"head_dim": 12}),
    ("qwen2", {}),
    ("qwen3", {"head_dim": 12}),
    ("qwen3", {"attention_bias": True, "tie_word_embeddings": True}),
    ("gemma", {"head_dim": 16}),
    ("gemma2", {"head_dim": 16}),
    ("gemma3_text", {"head_dim": 16}),
    ("phi3", {}),
    ("phi3", {"tie_word_embeddings": True}),
    ("phi", {}),
    ("phi", {"qk_layernorm": True}),
    ("olmo", {}),
    ("olmo2", {}),
    ("olmo3", {}),
    ("smollm3", {}),
    ("granite", {}),
    ("stablelm", {"use_qkv_bias": True}),
    ("stablelm", {"qk_layernorm": True, "use_parallel_residual": True}),
    ("starcoder2", {}),
    ("gpt_neox", {"num_key_value_heads": None}),
    ("cohere", {}),
    ("cohere", {"use_qk_norm": True}),
    ("cohere2", {}),
    ("glm4", {"head_dim": 16}),
    ("seed_oss", {"head_dim": 16, "attention_out_bias": True}),
    ("arcee", {"head_dim": 12}),
    ("helium", {"head_dim": 12}),
    ("nemotron", {"head_dim": 12}),
    ("glm", {"head_dim": 12}),
    ("ernie4_5", {"head_dim": 12}),
    ("hunyuan_v1_dense", {"head_dim": 12}),
    ("internlm3", {"head_dim": 12}),
    ("exaone4", {}),
    ("cwm", {"head_dim": 12}),
    ("nanochat", {}),
    ("diffllama", {"head_dim": 12}),
    ("apertus", {}),
    ("vaultgemma", {"head_dim": 12}),
    ("ministral", {"head_dim": 12}),
    ("jais2", {"head_dim": 12}),
    ("iquestcoder", {"head_dim": 12}),
    ("granite_swa", {}),
    ("hyperclovax", {"head_dim": 12}),
    ("bitnet", {}),
    ("flint", {"head_dim": 12}),
    ("qwen3_moe", {"num_experts": 4, **EXPERTS}),
    ("qwen2_moe", {"num_experts": 4, "shared_expert_intermediate_size": 40, **EXPERTS}),
    ("mixtral", {"num_local_experts": 4, "num_experts_per_tok": 2}),
    ("granitemoe", {"num_local_experts": 4, "num_experts_per_tok": 2}),
    ("olmoe", {"num_experts": 4, "num_experts_per_tok": 2}),
    ("flex_olmo", {"num_experts": 4, "num_experts_per_tok": 2}),
    ("minimax_m2", {"num_local_experts": 4, "num_experts_per_tok": 2, "head_dim": 12}),
    ("gpt_oss", {"num_local_experts": 4, "num_experts_per_tok": 2}),
]


def build(family: str, settings: dict[str, Any]) -> Any:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(family, **{**BASE, **settings})
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config)


def block_linears(model: Any) -> Iterator[Linear]:
    import torch

    for name, module in model.named_modules():
        if ".layers.0." in name and isinstance(module, torch.nn.Linear):
            yield Linear(name.rsplit(".", 1)[-1], module.in_features, module.out_features, module.bias is not None)


def shape_of(family: str, settings: dict[str, Any]) -> ModelShape:
    return shape_from_config({**BASE, **settings, "model_type": family, "architectures": ["XForCausalLM"]}, "tiny")


@pytest.mark.parametrize(("family", "settings"), CASES, ids=lambda value: value if isinstance(value, str) else "")
def test_every_count_and_name_is_the_real_one(family: str, settings: dict[str, Any]) -> None:
    model = build(family, settings)
    shape = shape_of(family, settings)

    assert shape.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert sorted(shape.linears, key=str) == sorted(block_linears(model), key=str)
    assert shape.embedding_parameters == model.get_input_embeddings().weight.numel()
    assert shape.tied == (model.get_output_embeddings().weight is model.get_input_embeddings().weight)


@pytest.mark.parametrize(("family", "settings"), CASES, ids=lambda value: value if isinstance(value, str) else "")
def test_what_transformers_saves_reads_back_the_same(family: str, settings: dict[str, Any]) -> None:
    from transformers import AutoConfig

    saved = AutoConfig.for_model(family, **{**BASE, **settings}).to_diff_dict()

    assert shape_from_config({**saved, "architectures": ["XForCausalLM"]}, "tiny") == shape_of(family, settings)


@pytest.mark.parametrize(("family", "settings"), CASES, ids=lambda value: value if isinstance(value, str) else "")
def test_the_attention_implementations_are_the_real_ones(family: str, settings: dict[str, Any]) -> None:
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoConfig

    real = MODEL_FOR_CAUSAL_LM_MAPPING[type(AutoConfig.for_model(family, **{**BASE, **settings}))]
    named = shape_of(family, settings).attention
    assert real._supports_sdpa == (not named or "sdpa" in named)
    assert real._supports_flash_attn == (not named or "flash_attention_2" in named)


def test_every_family_is_tried() -> None:
    assert {family for family, _ in CASES} == set(families())


def test_a_multimodal_model_counts_its_text_part() -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    vision = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision |= {"image_size": 28, "patch_size": 14}
    text = {**BASE, "head_dim": 16, "model_type": "gemma3_text"}
    config = AutoConfig.for_model("gemma3", text_config=text, vision_config=vision, mm_tokens_per_image=4)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    saved = {**config.to_diff_dict(), "architectures": ["Gemma3ForConditionalGeneration"]}

    shape = shape_from_config(saved, "tiny")

    assert shape.parameters == sum(p.numel() for p in model.model.language_model.parameters())
    assert shape.family == "gemma3_text"


def peft_trains(family: str, targets: Any) -> int:
    from peft import LoraConfig, TaskType, get_peft_model

    settings = next(settings for name, settings in CASES if name == family)
    lora = LoraConfig(r=4, target_modules=targets, task_type=TaskType.CAUSAL_LM)
    model = get_peft_model(build(family, settings), lora, low_cpu_mem_usage=True)
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize("family", ["llama", "phi3", "gemma3_text", "gpt_oss"])
def test_lora_trains_what_peft_trains_for_all_linear(family: str) -> None:
    settings = next(settings for name, settings in CASES if name == family)

    assert shape_of(family, settings).lora_parameters(4) == peft_trains(family, "all-linear")


@pytest.mark.parametrize("family", ["mixtral", "qwen2_moe", "qwen3_moe"])
def test_lora_of_a_mixture_by_the_names_of_its_linears(family: str) -> None:
    """peft turns `all-linear` into adapters on the fused experts and the router here; the names are taken as said."""
    shape = shape_of(family, next(settings for name, settings in CASES if name == family))

    assert shape.lora_parameters(4) == peft_trains(family, [linear.name for linear in shape.lora_targets("all-linear")])
    assert shape.lora_parameters(4) < peft_trains(family, "all-linear")


def test_nf4_packs_the_linear_modules_only() -> None:
    import bitsandbytes as bnb
    from transformers.integrations import replace_with_bnb_linear
    from transformers.utils.quantization_config import BitsAndBytesConfig

    for family in ("llama", "mixtral"):
        settings = next(settings for name, settings in CASES if name == family)
        model = build(family, settings)
        quantisation = BitsAndBytesConfig(load_in_4bit=True)
        model = replace_with_bnb_linear(model, ["lm_head"], quantization_config=quantisation)
        packed = [m for m in model.modules() if isinstance(m, bnb.nn.Linear4bit)]

        assert shape_of(family, settings).quantizable_parameters == sum(m.in_features * m.out_features for m in packed)
