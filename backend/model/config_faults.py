"""Values in config.json that transformers refuses, or that make a run compute NaN only: reported by the plan."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from backend.errors import UserError
from backend.model import architectures, config_types
from backend.model.family import Config, families

_ROPES: Final = {
    "default": (),
    "linear": ("factor",),
    "dynamic": ("factor",),
    "yarn": ("factor",),
    "longrope": ("short_factor", "long_factor"),
    "llama3": ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"),
    "proportional": (),
    "mrope": (),
    "axial": (),
}
"""Kinds of rotary embeddings, each with the keys that it can't do without."""
_DTYPES: Final = ("float32", "float16", "bfloat16", "float64", "auto", "float", "half", "double")
_KERNELS: Final = ("eager", "sdpa", "flash_attention_2", "flex_attention")
_ACTIVATIONS: Final = ("hidden_act", "hidden_activation", "activation_function")
_TEXT_FOR_A_VALUE: Final = re.compile(r"[-+]?\d+(\.\d*)?([eE][-+]?\d+)?|(?i:true|false|yes|no)")
_VALUES: Final = re.compile(
    r"(size|eps|epsilon|dim|theta|range|dropout|pdrop|heads|layers|bias|cache|embeddings|window|rank|experts|factor|_id|"
    r"step|scale|scaling|interval|multiplier)$"
)
"""Ends of the keys whose values are numbers or truth values."""
_SIZES: Final = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size")
"""Sizes, which are checked when they are read."""
_MEND: Final = "take the config.json of a newer version of the model, or correct it there"


def check(text: Config, name: str) -> None:
    """Raise UserError (field `model`) for the first value of a text configuration that can't be used."""
    fault = next(_faults(text), None)
    if fault:
        raise UserError(f"config.json of {name} says {fault}; {_MEND}", "model")


def check_types(text: Config, name: str) -> None:
    """Raise UserError (field `model`) for the first value of another type than transformers' class takes."""
    fault = next(config_types.faults(text), None)
    if fault:
        raise UserError(f"config.json of {name} says {fault}; {_MEND}", "model")


def _faults(text: Config) -> Iterator[str]:
    yield from _texts(text)
    yield from _types(text)
    yield from _dropout(text)
    yield from _activations(text)
    yield from _numbers(text)
    yield from _no_base(text)
    yield from _layer_types(text)
    yield from _heads(text)
    yield from _kernels(text)
    for key in ("rope_parameters", "rope_scaling"):
        said = text.get(key)
        if said is not None and not isinstance(said, Mapping):
            yield f"{key} {said!r}, where the settings of its rotary embeddings should be"
        elif said:
            of_kinds = [value for value in said.values() if isinstance(value, Mapping)]
            for settings in of_kinds or [said]:
                yield from _rope(settings, text)


def _texts(text: Config) -> Iterator[str]:
    for key, value in text.items():
        is_text = isinstance(value, str) and _TEXT_FOR_A_VALUE.fullmatch(value)
        if is_text and _VALUES.search(key) and key not in _SIZES:
            yield f"{key} {value!r} as text, which has to be a number or a truth value"


def _types(text: Config) -> Iterator[str]:
    said = text.get("dtype") or text.get("torch_dtype")
    if isinstance(said, str) and said not in _DTYPES:
        known = said.removeprefix("torch.")
        why = f"which is written {known}" if known in _DTYPES else "which is no type that weights are trained in"
        yield f"dtype {said!r}, {why}"
    quantised = text.get("quantization_config")
    if quantised is not None and not isinstance(quantised, Mapping):
        yield f"quantization_config {quantised!r}, which is no object"


def _dropout(text: Config) -> Iterator[str]:
    for key, value in text.items():
        if key.endswith(("dropout", "pdrop")) and isinstance(value, int | float) and not 0 <= value <= 1:
            yield f"{key} {value!r}, which has to lie between 0 and 1"


def _activations(text: Config) -> Iterator[str]:
    known = architectures.activations()
    for key in _ACTIVATIONS:
        value = text.get(key, "")
        if not isinstance(value, str):
            yield f"{key} {value!r}, which names no activation function"
        elif value and known and value not in known:
            yield f"{key} {value!r}, which transformers does not have"


def _numbers(text: Config) -> Iterator[str]:
    """Faults of numbers that are divisors, or under a root."""
    for key, value in text.items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        is_known = text.get("model_type") in families()  # other families may lack these
        if key.endswith(("_eps", "_epsilon", "_dropout", "_pdrop")) and value is None and is_known:
            yield f"{key} null, where a number should be"
        elif key.endswith(("_eps", "_epsilon")) and is_number and value < 0:
            yield f"{key} {value!r}, which has to be at least 0"
        elif key == "rope_theta" and is_number and value <= 0:
            yield f"rope_theta {value!r}, which has to be above 0"


def _no_base(text: Config) -> Iterator[str]:
    """Rotary embeddings without a base; families without rotary embeddings may leave it out."""
    newer = text.get("rope_parameters")
    is_said = isinstance(newer, Mapping) and newer.get("rope_theta") is not None
    if "rope_theta" in text and text["rope_theta"] is None and not is_said and text.get("model_type") in families():
        yield "rope_theta null, where a number should be"


def _heads(text: Config) -> Iterator[str]:
    """Query heads that are no multiple of the key heads."""
    queries, keys = text.get("num_attention_heads"), text.get("num_key_value_heads")
    if isinstance(queries, int) and isinstance(keys, int) and 0 < keys <= queries and queries % keys:
        yield f"num_key_value_heads {keys}, of which num_attention_heads {queries} is no multiple"


def _layer_types(text: Config) -> Iterator[str]:
    kinds, layers = text.get("layer_types"), text.get("num_hidden_layers")
    if kinds is not None and not isinstance(kinds, list):
        yield f"layer_types {kinds!r}, which is no list"
    if isinstance(kinds, list) and isinstance(layers, int) and len(kinds) != layers:
        yield f"num_hidden_layers {layers}, but layer_types names {len(kinds)}"
    known = architectures.layer_types() if text.get("model_type") in families() else ()  # others may use old names
    if isinstance(kinds, list) and known and (strange := next((x for x in kinds if x not in known), None)):
        yield f"layer type {strange!r}, which transformers does not have"


def _kernels(text: Config) -> Iterator[str]:
    for key in ("_attn_implementation", "attn_implementation"):
        value = text.get(key)
        if isinstance(value, str) and value not in _KERNELS:
            yield f"{key} {value!r}, an attention kernel that is not used here"


def _rope(settings: Config, text: Config) -> Iterator[str]:
    kind = settings.get("rope_type") or settings.get("type")
    yield from _texts(settings)
    if not isinstance(kind, str):
        if kind or "rope_type" in settings:
            yield f"rope type {repr(kind) if kind else 'null'}, which names none"
        return
    if kind not in _ROPES:
        old = " (su is the older name of longrope, which needs short_factor and long_factor)" if kind == "su" else ""
        yield f"rope type {kind!r}, which transformers does not have (it has {', '.join(_ROPES)}){old}"
        return
    missing = [key for key in _ROPES[kind] if settings.get(key) is None and text.get(key) is None]
    if missing:
        yield f"rope type {kind!r} without {missing[0]}"
    factor = settings.get("factor")
    if factor is not None and (isinstance(factor, bool) or not isinstance(factor, int | float) or factor <= 0):
        yield f"{factor!r} as the factor of its rotary embeddings, which has to be above 0"
    yield from _numbers({"rope_theta": settings.get("rope_theta")})
    if kind == "longrope":
        yield from _factors(settings, text)


def _factors(settings: Config, text: Config) -> Iterator[str]:
    """Longrope lists whose length is not the number of rotated pairs of dimensions, each of which has its factor."""
    head = text.get("head_dim") or _head(text)
    part = settings.get("partial_rotary_factor") or text.get("partial_rotary_factor") or 1.0
    for key in ("short_factor", "long_factor"):
        factors = settings.get(key)
        if isinstance(factors, list) and isinstance(head, int) and len(factors) != int(head * part) // 2:
            yield f"{len(factors)} numbers as {key}, where a head of {head} takes {int(head * part) // 2}"


def _head(text: Config) -> Any:
    hidden, heads = text.get("hidden_size"), text.get("num_attention_heads")
    return hidden // heads if isinstance(hidden, int) and isinstance(heads, int) and heads else None
