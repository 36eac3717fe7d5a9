"""The sizes that config.json names: under their usual names, with the family's defaults, checked."""

from __future__ import annotations

from typing import Any, Final

from backend.errors import UserError
from backend.model.family import Config, Family, families, sizes_of

_NEEDED: Final = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size")
_SYNONYMS: Final = {
    "hidden_size": ("n_embd", "d_model", "embed_dim"),
    "num_hidden_layers": ("n_layer", "n_layers", "num_layers"),
    "num_attention_heads": ("n_head", "n_heads", "num_heads", "attention_heads"),
    "intermediate_size": ("n_inner", "ffn_dim", "ffn_hidden_size", "d_ff"),
    "max_position_embeddings": ("n_positions", "n_ctx", "max_seq_len", "context_length", "model_max_length"),
    "num_key_value_heads": ("num_kv_heads",),
}
"""Other names of the sizes in config.json, the first that is there."""
_KINDS: Final = ("layers_block_type", "layer_types", "hybrid_override_pattern")
"""Keys that name the kind of each block."""
_EXPERTS: Final = ("num_experts", "num_local_experts", "n_routed_experts", "moe_intermediate_size")
_COUNTS: Final = (
    *("head_dim", "num_key_value_heads", "max_position_embeddings", "sliding_window", "num_experts_per_tok"),
    *("shared_expert_intermediate_size", "decoder_sparse_step"),
)
"""Whole numbers that may be left out, or be null."""
_MOST_BLOCKS: Final = 10_000
_LARGEST: Final = 2**31
"""Far above any model's; larger sizes are refused, since each block is visited and numbers must stay short."""


def usual_names(text: Config) -> dict[str, Any]:
    """`text` with its sizes under the names that most families use."""
    found = dict(text)
    for usual, others in _SYNONYMS.items():
        said = next((text[key] for key in (usual, *others) if isinstance(text.get(key), int)), None)
        if said is not None:
            found[usual] = said
    kinds = next((text[key] for key in _KINDS if isinstance(text.get(key), list | str)), None)
    if kinds and "num_hidden_layers" not in found:
        found["num_hidden_layers"] = len(kinds)
    return found


def guessed(found: dict[str, Any], *, has_files: bool) -> dict[str, Any]:
    """The sizes that a family which nobody listed leaves out, added."""
    if isinstance(widths := found.get("intermediate_size"), list) and widths:
        found["intermediate_size"] = max(widths)  # Gemma 3n has a width per layer
    if isinstance(found.get("hidden_size"), int):
        found["intermediate_size"] = found.get("intermediate_size") or 4 * found["hidden_size"]
        if has_files:  # a state space model has no attention heads
            found["num_attention_heads"] = found.get("num_attention_heads") or max(1, found["hidden_size"] // 64)
    return found


def like_llama(text: Config, name: str, *, has_files: bool) -> Family:
    """Llama's table for a family that nobody listed. Raises UserError if too little is known of it."""
    missing = [key for key in _NEEDED if key not in text and key not in families()["llama"].defaults]
    if missing or (not has_files and any(text.get(key) for key in _EXPERTS)):
        kind = text.get("model_type", "unnamed")
        raise UserError(
            f"{name} is of the family {kind!r}, whose shape fttui does not know; "
            f"known families are {', '.join(sorted(families()))}",
            "model",
        )
    return families()["llama"]


def with_defaults(family: Family, text: Config) -> dict[str, Any]:
    """`text` with the family's defaults for missing keys; synonymous keys count as present.

    A null is not a missing key: it says that there is none (Mistral's sliding window, DeepSeek's compressed queries).
    """
    said = {key: value for key, value in text.items() if value is not None}
    synonyms = {key for keys in family.keys.values() if any(key in said for key in keys) for key in keys}
    left_out = (key for key in family.defaults if key not in synonyms and key not in text)
    return {**{key: family.defaults[key] for key in left_out}, **said}


def check(known: Config, name: str, family: Family) -> None:
    """Raise UserError (field `model`) for a size that is missing or invalid."""
    for key in _NEEDED:
        value = known.get(key)
        if value is None and key == "intermediate_size" and "ff" in family.sizes:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
            said = "missing" if value is None else f"{value!r}, which is no size"
            raise UserError(f"config.json of {name} is incomplete: {key} is {said}; download the model again", "model")
    for key in (*_COUNTS, *(key for keys in family.keys.values() for key in keys)):
        value = known.get(key, 0)
        lowest = 1 if key == "head_dim" and key in known else 0
        if isinstance(value, bool) or not isinstance(value, int) or value < lowest:
            raise UserError(f"config.json of {name} says {key} {value!r}, which is no size; correct it there", "model")
    for key, value in known.items():
        most = _MOST_BLOCKS if key.endswith("layers") else _LARGEST if key in _NEEDED else None
        if most and isinstance(value, int) and value > most:
            said = f"config.json of {name} says {key} {value}, more than any model has"
            raise UserError(f"{said}; download the model again", "model")


def of(family: Family, known: Config) -> dict[str, int]:
    """The sizes that a family's lines name: the usual ones, those of its own, and every number of config.json."""
    hidden, heads = known["hidden_size"], known["num_attention_heads"]
    sizes = {name: value for name, value in known.items() if isinstance(value, int) and not isinstance(value, bool)}
    own = family.sizes.get("head")
    head = sizes_of(own, sizes)[0] if own else int(known.get("head_dim") or hidden // heads)
    query, key = heads * head, int(known.get("num_key_value_heads") or heads) * head
    sizes |= {
        "hidden": hidden,
        "layers": known["num_hidden_layers"],
        "heads": heads,
        "head": head,
        "q": query,
        "kv": key,
        "qkv": query + 2 * key,
        "ff": int(known.get("intermediate_size") or 0),
        "vocab": known["vocab_size"],
        "experts": _first(known, family.keys.get("experts", ())),
        "moe": _first(known, family.keys.get("moe", ())),
        "shared": int(known.get("shared_expert_intermediate_size") or 0),
    }
    for name, text in family.sizes.items():
        sizes[name] = sizes.get(name) or sizes_of(text, sizes)[0]
    return sizes


def _first(known: Config, keys: tuple[str, ...]) -> int:
    """The first of `keys` that is there; 0 if none is."""
    return next((int(known[key]) for key in keys if key in known), 0)
