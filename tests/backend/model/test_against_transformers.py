"""Counts and module names of every family, held against the real classes on the meta device. The only torch here."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backend.model.config import shape_from_config
from backend.model.family import families
from backend.model.local import read_folder
from backend.model.shape import Linear, ModelShape
from tests.backend.model.family_cases import BASE, CASES
from tests.tiny import make_tokenizer

pytestmark = pytest.mark.torch
_IN_A_BLOCK, _ROUTER = re.compile(r"\.\d+\."), re.compile(r"router|mlp\.gate$|block_sparse_moe\.gate$|\.wg$")


def build(family: str, settings: dict[str, Any]) -> Any:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(family, **{**BASE, **settings})
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config)


def block_linears(model: Any) -> Iterator[Linear]:
    """The linear layers of all blocks, each with the number of blocks that have it; routers and heads left out."""
    import torch
    from transformers.pytorch_utils import Conv1D

    found: Counter[Linear] = Counter()
    for name, module in model.named_modules():
        if _IN_A_BLOCK.search(name) and isinstance(module, torch.nn.Linear | Conv1D) and not _ROUTER.search(name):
            outputs, inputs = module.weight.shape if isinstance(module, torch.nn.Linear) else module.weight.shape[::-1]
            found[Linear(name.rsplit(".", 1)[-1], inputs, outputs, module.bias is not None)] += 1
    for linear, count in found.items():
        yield replace(linear, blocks=None if count == model.config.num_hidden_layers else count)


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


@pytest.mark.parametrize(("family", "settings"), CASES, ids=lambda value: value if isinstance(value, str) else "")
def test_the_files_hold_the_tensors_that_are_expected(family: str, settings: dict[str, Any], tmp_path: Path) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **{**BASE, **settings}))
    model.save_pretrained(tmp_path)
    make_tokenizer(tmp_path)

    found = read_folder(tmp_path, "tiny")

    assert found.shape.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert found.notes == () or "mixture" in found.notes[0]


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
    """peft turns `all-linear` into adapters on the fused experts and the router here; names are used as given."""
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
