"""The small files beside the weights that the trainer will read: what is wrong with them is said in the plan."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backend import typed
from backend.errors import UserError
from backend.model import architectures

_NUMBERS = (
    *("temperature", "top_p", "top_k", "min_p", "typical_p", "repetition_penalty", "length_penalty", "num_beams"),
    *("max_length", "max_new_tokens", "min_length", "num_return_sequences"),
)


_TOKENS = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


def refuse_unusable(folder: Path, name: str) -> None:
    """Raise UserError (field `model`) for an adapter beside the model, a broken file, or a tokenizer with own code."""
    if (folder / "adapter_config.json").is_file():
        raise UserError(
            f"{name} holds an adapter beside the model (adapter_config.json), which would be loaded with it; "
            "move adapter_config.json and adapter_model.safetensors elsewhere, or merge them first",
            "model",
        )
    _refuse_odd_generation(folder / "generation_config.json")
    settings = _object(folder / "tokenizer_config.json")
    odd = next((key for key in _TOKENS if not isinstance(settings.get(key), str | Mapping | None)), None)
    if odd:
        raise UserError(
            f"tokenizer_config.json of {name} says {odd} {settings[odd]!r}, where the text of a token should be; "
            "correct it there",
            "model",
        )
    kind, own = settings.get("tokenizer_class"), settings.get("auto_map")
    if isinstance(own, Mapping) and "AutoTokenizer" in own and not architectures.has_tokenizer(str(kind)):
        raise UserError(
            f"the tokenizer of {name} needs Python code from its own repository ({kind}), which fttui does not run; "
            "give a model whose tokenizer transformers has",
            "model",
        )


def _refuse_odd_generation(path: Path) -> None:
    """Transformers reads anything and fails when it saves it, after the training."""
    for key, value in _object(path).items():
        is_id = key.endswith("_token_id")
        values = value if is_id and isinstance(value, list) else [value]
        wanted = (int, type(None)) if is_id else (int, float, type(None))
        if (is_id or key in _NUMBERS) and not all(isinstance(x, wanted) for x in values):
            raise UserError(
                f"{path} says {key} {value!r}, which is no number; correct it there, or leave it out", "model"
            )


def _object(path: Path) -> Mapping[str, Any]:
    try:
        return typed.read_json(path, dict[str, Any])
    except typed.Missing:
        return {}
    except typed.Damaged as error:
        raise UserError(f"{path} is broken ({error}); download the model again", "model") from None
