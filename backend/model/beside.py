"""The small files beside the weights that the trainer will read: faults in them are reported by the plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from backend import typed
from backend.errors import UserError
from backend.model import architectures

_NUMBERS = (
    *("temperature", "top_p", "top_k", "min_p", "typical_p", "repetition_penalty", "length_penalty", "num_beams"),
    *("max_length", "max_new_tokens", "min_length", "min_new_tokens", "num_return_sequences", "no_repeat_ngram_size"),
    *("guidance_scale", "diversity_penalty", "epsilon_cutoff", "eta_cutoff", "max_time"),
)


ADAPTER = "adapter_config.json"
_TOKENS = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


def refuse_unusable(folder: Path, name: str) -> None:
    """Raise UserError (field `model`) for an adapter beside the model, a broken file, or a tokenizer with own code."""
    if (folder / ADAPTER).is_file():
        fix = "move adapter_config.json and adapter_model.safetensors elsewhere, or merge them first"
        raise adapter_beside(name, fix)
    _refuse_odd_generation(folder / "generation_config.json")
    settings = _object(folder / "tokenizer_config.json")
    odd = next((key for key in _TOKENS if not isinstance(settings.get(key), str | Mapping | None)), None)
    if odd:
        raise UserError(
            f"tokenizer_config.json of {name} says {odd} {settings[odd]!r}, where the text of a token should be; "
            "correct it there",
            "model",
        )
    if fault := next(_tokenizer_faults(settings), ""):
        raise UserError(f"tokenizer_config.json of {name} says {fault}; correct it there", "model")
    kind, own = settings.get("tokenizer_class"), settings.get("auto_map")
    if isinstance(own, Mapping) and "AutoTokenizer" in own and not architectures.has_tokenizer(str(kind)):
        raise UserError(
            f"the tokenizer of {name} needs Python code from its own repository ({kind}), which fttui does not run; "
            "give a model whose tokenizer transformers has",
            "model",
        )


def adapter_beside(name: str, fix: str) -> UserError:
    """The error for an adapter that lies among a model's files: transformers loads it too, or its base instead."""
    return UserError(
        f"{name} holds an adapter beside the model (adapter_config.json), which would be loaded with it; {fix}", "model"
    )


def _tokenizer_faults(settings: Mapping[str, Any]) -> Iterator[str]:
    """Settings that make transformers' tokenizer fail, some of them only when it is used."""
    longest, side, template = (settings.get(key) for key in ("model_max_length", "padding_side", "chat_template"))
    if not isinstance(longest, int | float | None):
        yield f"model_max_length {longest!r}, which is no number"
    if side not in ("right", "left", None):
        yield f"padding_side {side!r}, which is right or left"
    if not isinstance(template, str | list | Mapping | None):
        yield f"chat_template {template!r}, which is no template"


def _refuse_odd_generation(path: Path) -> None:
    """Refuse a generation config that transformers would read, but fail to save after the training."""
    settings = _object(path)
    if fault := next(_generation_faults(settings), ""):
        raise UserError(f"{path} says {fault}; correct it there, or leave it out", "model")
    for key, value in settings.items():
        is_id = key.endswith("_token_id")
        values = value if is_id and isinstance(value, list) else [value]
        wanted = (int, type(None)) if is_id else (int, float, type(None))
        if (is_id or key in _NUMBERS) and not all(isinstance(x, wanted) for x in values):
            raise UserError(
                f"{path} says {key} {value!r}, which is no number; correct it there, or leave it out", "model"
            )


def _generation_faults(settings: Mapping[str, Any]) -> Iterator[str]:
    """Settings with which transformers does not load the model at all."""
    most, several, early = (settings.get(x) for x in ("max_new_tokens", "num_return_sequences", "early_stopping"))
    if isinstance(most, int) and most <= 0:
        yield f"max_new_tokens {most}, which has to be above 0"
    is_greedy = not settings.get("do_sample") and settings.get("num_beams") in (1, None)
    if isinstance(several, int) and several > 1 and is_greedy:
        yield f"num_return_sequences {several}, which without sampling and beams is 1"
    if not isinstance(early, bool | None) and early != "never":
        yield f"early_stopping {early!r}, which is true, false or never"
    if settings.get("compile_config") is not None:
        yield "compile_config, which only code can set"


def _object(path: Path) -> Mapping[str, Any]:
    try:
        return typed.read_json(path, dict[str, Any])
    except typed.Missing:
        return {}
    except typed.Damaged as error:
        raise UserError(f"{path} is broken ({error}); download the model again", "model") from None
