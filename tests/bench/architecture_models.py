"""Tiny random models of every causal architecture that transformers has, for `make bench-architectures`.

The sizes below are tried under every name that a configuration class knows; what a family needs beyond them is in
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
TABLE = Path(__file__).with_name("architectures.toml")


@cache
def table() -> dict[str, Any]:
    """architectures.toml: what families need beyond SIZES, and those that are no decoders of text."""
    found: dict[str, Any] = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    return found


def names() -> list[str]:
    """Every `model_type` that transformers loads as a causal language model, and the wrappers of the table."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    return sorted({*MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, *table()["wrappers"]})


def config(name: str) -> Any:
    """A tiny configuration of the family."""
    from transformers import AutoConfig

    own = dict(table()["settings"].get(name, {}))
    return AutoConfig.for_model(name, **(own if "text_config" in own else known(name) | own))


def known(name: str) -> dict[str, Any]:
    """The sizes that the family's configuration class has."""
    from transformers import CONFIG_MAPPING

    kind = CONFIG_MAPPING[name]
    fields = {*getattr(kind, "__dataclass_fields__", {}), *getattr(kind, "attribute_map", {})}
    return {key: value for key, value in SIZES.items() if key in fields}


def build(name: str) -> Any:
    """The model with random weights; norms and biases a little uneven, so that a wrong one shows in the loss."""
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

    torch.manual_seed(0)
    auto = AutoModelForImageTextToText if name in table()["wrappers"] else AutoModelForCausalLM
    model = auto.from_config(config(name))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.05 * torch.randn_like(parameter))
    return model.float()
