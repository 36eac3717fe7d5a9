from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest

from backend.errors import UserError
from backend.model.config import is_exact, is_instruct, is_multimodal, is_native, shape_from_config
from tests.backend.model.family_cases import BASE, CASES

LLAMA: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_hidden_layers": 16,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
    "tie_word_embeddings": True,
}


def refused(**changes: Any) -> str:
    with pytest.raises(UserError) as caught:
        shape_from_config({**LLAMA, **changes}, "some/model")
    assert caught.value.field == "model"
    return str(caught.value)


def test_llama_3_2_1b_has_its_published_size() -> None:
    shape = shape_from_config(LLAMA, "Llama-3.2-1B")

    assert shape.parameters == 1_235_814_400
    assert (shape.head_dim, shape.kv_heads, shape.context, shape.tied) == (64, 8, 131072, True)


def test_phi_has_fused_linears_under_their_real_names() -> None:
    shape = shape_from_config({**LLAMA, "model_type": "phi3", "architectures": ["Phi3ForCausalLM"]}, "phi")

    assert [linear.name for linear in shape.linears] == ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"]
    assert shape.linears[0].outputs == 32 * 64 + 2 * 8 * 64


def test_gemma_3_4b_as_the_hub_has_it_leaves_much_to_the_defaults() -> None:
    text = {"model_type": "gemma3_text", "hidden_size": 2560, "intermediate_size": 10240, "num_hidden_layers": 34}
    config = {"architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3", "text_config": text}

    shape = shape_from_config(config, "gemma-3-4b-it")

    assert shape.parameters == 3_880_263_168
    assert is_multimodal(config)
    assert is_exact(config)


def test_a_text_part_without_its_own_type_is_that_of_the_family() -> None:
    text = {key: value for key, value in LLAMA.items() if key not in ("architectures", "model_type")}
    config = {"architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3", "text_config": text}

    assert shape_from_config(config, "x").family == "gemma3_text"


def test_an_expert_count_under_its_other_name_beats_the_default() -> None:
    changes = {
        "model_type": "qwen3_moe",
        "num_local_experts": 4,
        "moe_intermediate_size": 512,
        "num_experts_per_tok": 2,
    }

    shape = shape_from_config({**LLAMA, **changes}, "moe")

    assert (shape.experts, shape.experts_per_token, shape.intermediate) == (4, 2, 1024)


@pytest.mark.parametrize(("used", "window"), [(True, 4096), (False, None)])
def test_a_sliding_window_counts_only_where_it_is_used(used: bool, window: int | None) -> None:
    changes = {"model_type": "qwen2", "sliding_window": 4096, "use_sliding_window": used}

    assert shape_from_config({**LLAMA, **changes}, "q").sliding_window == window


def test_yarn_stretches_the_context_that_it_names() -> None:
    """As in Qwen's own instructions: max_position_embeddings keeps its old value."""
    rope = {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 2048}
    small = {**LLAMA, "max_position_embeddings": 2048}
    assert shape_from_config(small | {"rope_scaling": rope}, "m").context == 8192
    assert shape_from_config({**small, "max_position_embeddings": 9000, "rope_scaling": rope}, "m").context == 9000
    assert shape_from_config(small | {"rope_scaling": {**rope, "type": "linear"}}, "m").context == 2048


def test_an_unknown_dense_family_is_taken_for_a_llama_and_said_to_be_inexact() -> None:
    config = {**LLAMA, "model_type": "persimmon", "architectures": ["PersimmonForCausalLM"]}

    assert shape_from_config(config, "n").parameters == 1_235_814_400
    assert not is_exact(config)


def test_blocks_that_differ_are_counted_as_they_are() -> None:
    config = {**LLAMA, "model_type": "qwen3_moe", "num_experts": 4, "moe_intermediate_size": 256}
    all_sparse, half = (
        shape_from_config({**config, "decoder_sparse_step": step}, "q").block_linear_parameters for step in (1, 2)
    )
    dense, experts = (3 * 2048 * width for width in (8192, 4 * 256))

    assert all_sparse - half == 8 * (experts - dense)
    assert is_exact({**config, "decoder_sparse_step": 2})


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", True), ("google/gemma-3-1b-it", True), ("a/Llama-2-7b-chat-hf", True),
        ("Qwen/Qwen2.5-7B", False), ("chat/Base-7B", False), ("a/bitter-7b", False),
    ],
)  # fmt: skip
def test_whether_it_chats_is_read_from_its_name(name: str, expected: bool) -> None:
    assert is_instruct(name) is expected


@pytest.mark.parametrize(
    "changes",
    [
        {"architectures": ["BertForMaskedLM"], "model_type": "bert"},
        {"architectures": ["T5ForConditionalGeneration"], "model_type": "t5", "is_encoder_decoder": True},
        {"architectures": ["ViTForImageClassification"], "model_type": "vit"},
        {"architectures": ["LlamaForSequenceClassification"]},
        {"architectures": None, "model_type": "resnet"},
    ],
)
def test_other_than_causal_language_models_are_refused(changes: dict[str, Any]) -> None:
    assert "some/model is not a causal language model" in refused(**changes)


def test_a_known_family_needs_no_architecture_named() -> None:
    assert shape_from_config({**LLAMA, "architectures": None}, "x").family == "llama"


def test_code_from_the_repository_is_not_run() -> None:
    said = refused(model_type="homemade", auto_map={"AutoModelForCausalLM": "modeling.Mine"})

    assert "needs Python code from its own repository" in said


def test_code_that_transformers_has_itself_does_not_matter() -> None:
    config = {**LLAMA, "model_type": "phi3", "auto_map": {"AutoModelForCausalLM": "modeling_phi3.Phi3ForCausalLM"}}

    assert shape_from_config(config, "phi").family == "phi3"
    assert is_native("gemma3_text")
    assert not is_native("homemade")


@pytest.mark.parametrize("method", ["gptq", "awq", "bitsandbytes", "mxfp4"])
def test_quantised_checkpoints_are_refused_by_their_method(method: str) -> None:
    said = refused(quantization_config={"quant_method": method})

    assert f"already quantised ({method})" in said
    assert "16-bit original" in said


def test_an_unknown_mixture_is_not_guessed_at() -> None:
    assert "is of the family 'dots1', whose shape fttui does not know" in refused(
        model_type="dots1", n_routed_experts=64
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"hidden_size": None}, "hidden_size is missing"),
        ({"num_hidden_layers": "16"}, "num_hidden_layers is '16', which is no size"),
        ({"vocab_size": 0}, "vocab_size is 0, which is no size"),
        ({"num_hidden_layers": 999_999_992}, "num_hidden_layers 999999992, more than any model has"),
        ({"num_nextn_predict_layers": 10**9}, "num_nextn_predict_layers 1000000000, more than any model has"),
        ({"vocab_size": 10**12}, "vocab_size 1000000000000, more than any model has"),
    ],
)
def test_a_size_that_is_missing_or_wrong_is_named(changes: dict[str, Any], said: str) -> None:
    assert said in refused(**changes)


@pytest.mark.parametrize("kind", ["bert", "whisper", "reformer"])
def test_what_is_no_decoder_of_text_is_refused(kind: str) -> None:
    assert f"its architecture {kind!r} has no decoder of text" in refused(model_type=kind)


def test_an_architecture_that_transformers_lacks_is_refused() -> None:
    assert "its architecture 'newcomer' is unknown to the transformers" in refused(model_type="newcomer")


def test_a_pad_token_beyond_the_embedding_is_refused() -> None:
    rows = LLAMA["vocab_size"]
    assert f"pad_token_id {rows}, but the embedding has {rows} rows" in refused(pad_token_id=rows)
    shape_from_config({**LLAMA, "pad_token_id": rows - 1}, "m")
    shape_from_config({**LLAMA, "pad_token_id": -1}, "m")


@pytest.mark.parametrize("key", ["rope_scaling", "rope_parameters"])
def test_a_rope_that_transformers_lacks_is_refused(key: str) -> None:
    said = refused(**{key: {"type": "su", "factor": 4.0}})
    assert "rope type 'su', which transformers does not have" in said
    assert "longrope" in said
    shape_from_config({**LLAMA, key: {"rope_type": "yarn", "factor": 4.0}}, "m")


def test_positions_are_no_norms() -> None:
    """The activations of a block are counted by its norms."""
    config = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "n_embd": 768, "n_layer": 12, "n_head": 12}
    shape = shape_from_config(config, "gpt2")

    assert shape.parameters == 124_439_808
    assert shape.other_parameters == 1024 * 768
    assert shape.norm_parameters == (12 * 4 + 2) * 768


@pytest.mark.parametrize(
    ("config", "parameters"),
    [
        (
            {"model_type": "falcon", "num_hidden_layers": 32, "hidden_size": 4544, "num_attention_heads": 71},
            6_921_720_704,
        ),
        ({"model_type": "bloom", "n_layer": 24, "hidden_size": 1024, "n_head": 16}, 559_214_592),
        ({"model_type": "opt", "hidden_size": 768, "ffn_dim": 3072, "num_hidden_layers": 12}, 125_239_296),
        ({"model_type": "gptj", "n_embd": 4096, "n_layer": 28, "n_head": 16}, 6_050_882_784),
    ],
    ids=lambda value: value["model_type"] if isinstance(value, dict) else "",
)
def test_published_counts_of_older_families(config: dict[str, Any], parameters: int) -> None:
    assert shape_from_config({**config, "architectures": ["XForCausalLM"]}, "m").parameters == parameters


def test_a_form_that_the_table_leaves_out_counts_as_unlisted() -> None:
    """The embeddings of opt-350m are narrower than its blocks."""
    config = {"model_type": "opt", "architectures": ["OPTForCausalLM"], "hidden_size": 1024, "word_embed_proj_dim": 512}

    assert not is_exact(config)
    assert is_exact({**config, "word_embed_proj_dim": 1024})
    assert is_exact({"model_type": "opt", "architectures": ["OPTForCausalLM"]})


def test_any_value_in_config_json_raises_one_kind_of_error() -> None:
    """A value of another type for each key that a family reads, one at a time."""
    kinds: list[Any] = ["x", [], {"a": 1}, -1, 2.5]
    for family, settings in CASES:
        whole = {**BASE, **settings, "model_type": family, "architectures": ["XForCausalLM"]}
        for key in whole:
            for junk in kinds:
                with suppress(UserError):
                    assert shape_from_config({**whole, key: junk}, "m").parameters


def wrapper(kind: str) -> dict[str, Any]:
    return {
        "architectures": ["AnyForConditionalGeneration"],
        "model_type": kind,
        "text_config": {"model_type": "llama", **LLAMA_SIZES},
    }


LLAMA_SIZES = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}


def test_a_kind_of_images_and_text_that_nobody_tried_is_refused() -> None:
    assert shape_from_config(wrapper("llava"), "m").layers == 2
    with pytest.raises(UserError, match="of the kind 'paligemma' were not tried, or did not come out right") as error:
        shape_from_config(wrapper("paligemma"), "m")
    assert error.value.field == "model"


def test_families_of_text_that_nobody_tried_are_refused() -> None:
    config = {"architectures": ["XForCausalLM"], "model_type": "qwen4_exp_text", **LLAMA_SIZES}
    with pytest.raises(UserError, match="of the kind 'qwen4_exp_text' were not tried"):
        shape_from_config(config, "m", has_files=True)
