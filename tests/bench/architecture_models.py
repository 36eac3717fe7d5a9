"""Tiny random models of every causal architecture that transformers has, for `make bench-architectures`.

The sizes below are tried under every name that a configuration class knows; what else a family needs is in
architectures.toml.
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

SIZES: dict[str, Any] = {
    "vocab_size": 384,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 512,
    "initializer_range": 0.08,
    "num_experts": 4,
    "num_local_experts": 4,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 32,
    "shared_expert_intermediate_size": 32,
    "n_group": 1,
    "topk_group": 1,
    "kv_lora_rank": 16,
    "q_lora_rank": 24,
    "qk_nope_head_dim": 16,
    "qk_rope_head_dim": 8,
    "v_head_dim": 16,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 16,
    "linear_value_head_dim": 16,
    "sliding_window": 24,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
OTHER_PARTS: dict[str, Any] = {
    **dict.fromkeys(("hidden_size", "embed_dim", "embedding_dim", "vision_output_dim"), 16),
    **dict.fromkeys(("projector_input_dim", "projector_output_dim", "adapter_in_dim", "adapter_input_size"), 16),
    **dict.fromkeys(("intermediate_size", "mlp_dim", "encoder_ffn_dim", "decoder_ffn_dim"), 32),
    **dict.fromkeys(("num_hidden_layers", "depth", "num_layers", "encoder_layers", "decoder_layers"), 1),
    **dict.fromkeys(("num_blocks", "num_global_layers", "conf_num_hidden_layers", "encoder_num_layers"), 1),
    **dict.fromkeys(("num_attention_heads", "num_heads", "attention_heads", "num_key_value_heads"), 2),
    **dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads", "conf_num_attention_heads"), 2),
    **dict.fromkeys(("out_hidden_size", "projection_dim", "output_dim", "proj_dim"), 64),
    "image_size": 28,
    "patch_size": 14,
    "head_dim": 8,
    "num_position_embeddings": 16,
    "position_embedding_size": 64,
    "base_channels": 32,
    "output_channels": 16,
    "downsample_hidden_size": 8,
}
"""Sizes of towers for images and sound."""
MOST = 90_000_000
"""The most parameters of a model that is built."""
OF_TEXT = ("text_config", "llm_config", "language_config", "decoder_config", "thinker_config")
TABLE = Path(__file__).with_name("architectures.toml")


@cache
def table() -> dict[str, Any]:
    """architectures.toml: what families need beyond SIZES, and those that are not text decoders."""
    found: dict[str, Any] = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    return found


def names() -> list[str]:
    """Every `model_type` that transformers loads as a causal language model, or as one of images and text."""
    from transformers.models.auto import modeling_auto as auto

    causal, wrappers = auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
    return sorted({*causal, *wrappers})


def config(name: str) -> Any:
    """A tiny configuration of the family."""
    from transformers import CONFIG_MAPPING, AutoConfig

    own = dict(table()["settings"].get(name, {}))
    if "vocab_size" in own.get("text_config", {}):  # no other size is left to try
        return AutoConfig.for_model(name, **own)
    return AutoConfig.for_model(name, **_merged(known(CONFIG_MAPPING[name]), _merged(_parts(name), own)))


def known(kind: Any, sizes: dict[str, Any] = SIZES) -> dict[str, Any]:
    """The sizes that a configuration class has."""
    fields = {*getattr(kind, "__dataclass_fields__", {}), *getattr(kind, "attribute_map", {})}
    return {key: value for key, value in sizes.items() if key in fields}


def _parts(name: str) -> dict[str, Any]:
    """Tiny settings of a wrapper's parts, each of the kind that it has by default."""
    from transformers import CONFIG_MAPPING

    keys = getattr(CONFIG_MAPPING[name], "sub_configs", {})
    usual = CONFIG_MAPPING[name]() if keys else None
    found = {}
    for key in keys:
        part = getattr(usual, key, None)
        if part is not None and hasattr(part, "to_dict"):
            is_text = key in OF_TEXT
            more = table()["settings"].get(part.model_type, {}) if is_text else {}
            sizes = known(type(part), SIZES if is_text else OTHER_PARTS)
            found[key] = {"model_type": part.model_type} | sizes | more
    return found


def _merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """`one` with what `other` says, at any depth."""
    both = {key: _merged(one[key], x) if isinstance(x, dict) and key in one else x for key, x in other.items()}
    return one | both


def auto_class(config: Any) -> Any:
    """AutoModelForImageTextToText for a wrapper, else AutoModelForCausalLM."""
    from transformers import (
        MODEL_FOR_CAUSAL_LM_MAPPING,
        MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
        AutoModelForCausalLM,
        AutoModelForImageTextToText,
    )

    is_text = type(config) in MODEL_FOR_CAUSAL_LM_MAPPING and not hasattr(config, "text_config")
    is_wrapper = type(config) in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING and not is_text
    return AutoModelForImageTextToText if is_wrapper else AutoModelForCausalLM


def build(name: str) -> Any:
    """The model with random weights; norms and biases a little uneven, so that a wrong one shows in the loss."""
    import torch

    torch.manual_seed(0)
    settings = config(name)
    with torch.device("meta"):
        count = sum(x.numel() for x in auto_class(settings).from_config(settings).parameters())
    if count > MOST:
        raise ValueError(f"{count:,} parameters are too many")
    model = auto_class(settings).from_config(settings)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.05 * torch.randn_like(parameter))
    return model.float()
