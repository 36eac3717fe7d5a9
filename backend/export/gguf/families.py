"""The model families that can be written as GGUF, and the keys of their sizes there."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend.errors import UserError
from backend.model import family, sizes

Config = Mapping[str, Any]


@dataclass(frozen=True)
class Family:
    """How llama.cpp knows an architecture of transformers."""

    arch: str
    permutes: bool
    """Queries and keys are reordered: llama.cpp rotates neighbouring pairs, transformers halves."""
    model_types: tuple[str, ...]
    """The model types that transformers loads with this class, whatever class config.json names."""


FAMILIES = {
    "LlamaForCausalLM": Family("llama", True, ("llama", "internlm3", "iquestcoder")),
    "MistralForCausalLM": Family("llama", True, ("mistral",)),
    "Qwen2ForCausalLM": Family("qwen2", False, ("qwen2",)),
    "Qwen3ForCausalLM": Family("qwen3", False, ("qwen3",)),
}
_DEFAULT_THETA = 10_000.0
_YARN = {"beta_fast": 32, "beta_slow": 1, "truncate": True, "attention_factor": None, "mscale": None}
"""Yarn's other settings, as llama.cpp assumes them."""


def config_of(folder: Path) -> Config:
    """A model folder's config.json, with what the family's class assumes for keys that it leaves out."""
    said: Config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    known = family.of(said)
    return sizes.with_defaults(known, sizes.usual_names(said)) if known else said


def of(config: Config) -> Family:
    """The family of a config.json. Raises UserError if it can't be written."""
    name = _class(config)
    found = FAMILIES.get(name)
    if found is None:
        known = ", ".join(one.removesuffix("ForCausalLM") for one in FAMILIES)
        fix = "use --to merged and llama.cpp's convert_hf_to_gguf.py"
        raise UserError(f"{name} can't be written as GGUF here, only {known}; {fix}", "to")
    if config.get("model_type") not in found.model_types:
        fix = "use --to merged and llama.cpp's convert_hf_to_gguf.py"
        raise UserError(
            f"config.json names {name}, but the model is of the kind {config.get('model_type')!r}, which can't be "
            f"written as GGUF here; {fix}",
            "to",
        )
    if odd := _not_written(config):
        fix = "use --to merged and llama.cpp's convert_hf_to_gguf.py"
        raise UserError(f"{odd} can't be written as GGUF here; {fix}", "to")
    return found


def _class(config: Config) -> str:
    """The class in config.json; if it names none, or one of peft's as merged models may, that of its kind."""
    kind, said = str(config.get("model_type") or "unknown"), config.get("architectures")
    if said and not said[0].startswith("Peft"):
        return str(said[0])
    return next((name for name, one in FAMILIES.items() if kind in one.model_types), kind)


def _not_written(config: Config) -> str:
    """What a GGUF of this family can't express, so that llama.cpp would compute something else; empty for nothing."""
    rope, activation = _rope(config), config.get("hidden_act") or "silu"
    if rope["rope_type"] not in ("default", "llama3", "linear", "yarn"):
        return f"rotary scaling of kind {rope['rope_type']}"
    if rope["rope_type"] == "yarn":
        other = next((key for key, usual in _YARN.items() if rope.get(key, usual) not in (usual, None)), None)
        if other:
            return f"rotary scaling of kind yarn with {other} {rope[other]!r}"
    return "" if activation in ("silu", "swish") else f"the activation {activation}"


def not_kept(config: Config) -> tuple[str, ...]:
    """Sentences on what llama.cpp computes differently from the model as trained."""
    window = config.get("sliding_window")
    if not window or not config.get("use_sliding_window", True):
        return ()
    return (
        "llama.cpp lets every token see the whole context, and this model was trained to see the last "
        f"{window:,} tokens: answers differ in longer contexts",
    )


def keys(config: Config, arch: str) -> dict[str, int | float | str]:
    """Sizes and constants, by their keys in the file."""
    rope, head = _rope(config), head_size(config)
    kv_heads = config.get("num_key_value_heads") or config["num_attention_heads"]
    found: dict[str, int | float | str] = {
        "block_count": config["num_hidden_layers"],
        "context_length": config["max_position_embeddings"],
        "embedding_length": config["hidden_size"],
        "feed_forward_length": config["intermediate_size"],
        "attention.head_count": config["num_attention_heads"],
        "attention.head_count_kv": kv_heads,
        "attention.key_length": head,
        "attention.value_length": head,
        "attention.layer_norm_rms_epsilon": float(config.get("rms_norm_eps", 1e-6)),
        "rope.dimension_count": int(head * rope.get("partial_rotary_factor", 1.0)),
        "rope.freq_base": theta(config),
        "vocab_size": config["vocab_size"],
    }
    if rope.get("rope_type") in ("linear", "yarn"):
        found |= {"rope.scaling.type": rope["rope_type"], "rope.scaling.factor": float(rope["factor"])}
    if rope.get("rope_type") == "yarn":
        original = rope.get("original_max_position_embeddings") or config["max_position_embeddings"]
        found["rope.scaling.original_context_length"] = int(original)
    return {f"{arch}.{name}": value for name, value in found.items()}


def head_size(config: Config) -> int:
    """Numbers of one attention head."""
    return int(config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"])


def theta(config: Config) -> float:
    """The base of the rotary frequencies."""
    return float(_rope(config).get("rope_theta") or config.get("rope_theta") or _DEFAULT_THETA)


def frequency_divisors(config: Config) -> list[float] | None:
    """Llama 3.1's scaling: what each rotary frequency is divided by; None for other kinds.

    Frequencies whose wave is longer than the original context / low_freq_factor are divided by `factor`, those shorter
    than the original context / high_freq_factor by 1, and between the two it goes smoothly (transformers'
    modeling_rope_utils.py).
    """
    rope = _rope(config)
    if rope.get("rope_type") != "llama3":
        return None
    size, base = head_size(config), theta(config)
    low, high = float(rope["low_freq_factor"]), float(rope["high_freq_factor"])
    original, factor = float(rope["original_max_position_embeddings"]), float(rope["factor"])

    def divisor(wave: float) -> float:
        smooth = min(1.0, max(0.0, (original / wave - low) / (high - low)))
        return 1.0 / ((1.0 - smooth) / factor + smooth)

    return [divisor(2 * math.pi * base ** (at / size)) for at in range(0, size, 2)]


def _rope(config: Config) -> Config:
    """The rotary settings: `rope_parameters` since transformers 5, which takes `rope_scaling` if both are there."""
    found = config.get("rope_scaling") or config.get("rope_parameters") or {}
    return {**found, "rope_type": found.get("rope_type") or found.get("type") or "default"}
