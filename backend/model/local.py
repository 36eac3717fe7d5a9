"""A model in a local folder: config.json is enough for planning, safetensors beside it for training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from backend import typed, units
from backend.errors import UserError
from backend.model import (
    architectures,
    as_loaded,
    beside,
    expected,
    finite,
    headers,
    hub_cache,
    other_weights,
    stored,
    stored_shape,
    whole_modules,
)
from backend.model.config import is_exact, is_multimodal, shape_from_config
from backend.model.family import Config
from backend.model.info import ModelInfo
from backend.model.shape import ModelShape

BYTES_16_BIT = 2
_OFF = 0.01
"""Counts of config and weights may differ by this share without a note."""


def read_folder(
    folder: Path,
    reference: str,
    kind: Literal["folder", "hub", "demo"] = "folder",
    *,
    name: str | None = None,
    hub_id: str | None = None,
    license: str = "",
) -> ModelInfo:
    """The model in `folder`, called `name`. Raises UserError if there is none, or if it can't be fine-tuned."""
    called = name or hub_cache.name_of(folder) or folder.name
    config = read_config(folder)
    beside.refuse_unusable(folder, called)
    weights = headers.read(folder)
    shape = replace(shape_from_config(config, called, has_files=weights is not None), license=license)
    if weights is None:
        other_weights.refuse(folder, called)
    else:
        is_one = weights.files == (folder / headers.SINGLE,)
        other_weights.refuse_named(config, called, headers.SINGLE if is_one else headers.INDEX)
        stored.refuse_untrainable(folder, called)
        headers.refuse_inconsistent(folder)
        finite.refuse_others(folder, called)
        expected.refuse_others(folder, config, called)
        if not is_exact(config) and not is_multimodal(config):
            expected.refuse_too_few(folder, shape, called)
        shape = stored_shape.fitted(shape, config, folder)
        shape = replace(shape, whole_modules=whole_modules.of_tensors(as_loaded.of_folder(folder, config), shape))
    tokenizer = folder / "tokenizer.json"
    has_tokenizer = tokenizer.is_file()
    size = weights.bytes if weights else shape.parameters * BYTES_16_BIT
    notes = [
        *shape_notes(config, shape, has_files=weights is not None),
        *count_notes(config, shape, weights.parameters if weights else None),
    ]
    if weights is None:
        notes.append("Only config.json is here: enough for planning, not for training.")
    elif not has_tokenizer:
        notes.append("There is no tokenizer.json beside the weights: tokens are estimated from the text's length.")
    return ModelInfo(
        reference=reference,
        kind=kind,
        shape=shape,
        folder=folder,
        has_weights=weights is not None,
        weight_bytes=size,
        download_bytes=0,
        tokenizer_file=tokenizer if has_tokenizer else None,
        hub_id=hub_id,
        packages=architectures.packages(as_loaded.model_types(config)),
        notes=tuple(notes),
    )


def read_config(folder: Path) -> Config:
    """config.json of `folder`. Raises UserError if it is missing or broken, saying what the folder is instead."""
    path = folder / "config.json"
    if not path.is_file():
        raise UserError(_what_it_is_instead(folder), "model")
    try:
        config = typed.read_json(path, object)
    except typed.Damaged as error:
        if isinstance(error.__context__, OSError):
            raise UserError(f"{path} can't be read ({error}); check its permissions", "model") from None
        raise UserError(f"{path} is broken ({error}); download the model again", "model") from None
    if not isinstance(config, Mapping):
        raise UserError(f"{path} is broken (it holds no JSON object); download the model again", "model")
    return config


def shape_notes(config: Config, shape: ModelShape, *, has_files: bool = False) -> list[str]:
    """What the user should know of how `shape` was read from `config`, and from the files if they are here."""
    notes = []
    if not is_exact(config) and has_files:
        notes.append(
            f"The family {shape.family!r} is not in fttui's table, or its layers differ: its "
            f"{units.count(shape.parameters)} parameters are counted in its files, memory and time are a Llama's."
        )
    elif not is_exact(config):
        notes.append(
            f"The family {shape.family!r} is not in fttui's table, or its layers differ: "
            f"{units.count(shape.parameters)} parameters are an estimate from the sizes in config.json."
        )
    if is_multimodal(config) and shape.frozen_parameters:
        notes.append(
            f"It takes more than text: only its text part is fine-tuned; its other parts "
            f"({units.count(shape.frozen_parameters)} parameters) are loaded and saved as they are."
        )
    elif is_multimodal(config):
        notes.append("It takes more than text: only its text part is counted, and only that is fine-tuned.")
    if shape.experts:
        notes.append(
            f"It is a mixture of {shape.experts} experts: adapters go on the attention only, and QLoRA leaves the "
            "experts in 16 bits."
        )
    if shape.license:
        notes.append(f"Licence: {shape.license}.")
    return notes


def count_notes(config: Config, shape: ModelShape, stored: int | None) -> list[str]:
    """A sentence if the weight files hold another number of parameters (`stored`) than config.json says."""
    if stored is None or is_multimodal(config) or not is_exact(config):
        return []
    with_head = shape.embedding_parameters if shape.tied else 0  # some files store a tied head a second time
    if any(abs(stored / count - 1) < _OFF for count in (shape.parameters, shape.parameters + with_head)):
        return []
    return [
        f"The weights hold {units.count(stored)} parameters, but config.json says {units.count(shape.parameters)}: "
        "figures follow config.json."
    ]


def _what_it_is_instead(folder: Path) -> str:
    if (folder / "adapter_config.json").is_file():
        base = _adapter_base(folder / "adapter_config.json")
        return f"{folder} is a LoRA adapter, not a model; give its base model{f' {base}' if base else ''} instead"
    if any(folder.glob("*.gguf")):
        return other_weights.gguf_sentence(str(folder))
    for pattern in ("*/config.json", "snapshots/*/config.json"):
        if inner := sorted(path.parent for path in folder.glob(pattern)):
            return f"{folder} is no model: config.json is missing; did you mean {inner[0]}?"
    return f"{folder} is no model: config.json is missing; give the folder that holds config.json and the weights"


def _adapter_base(path: Path) -> str:
    try:
        settings: Any = typed.read_json(path, object)
    except typed.Damaged:
        return ""
    return str(settings.get("base_model_name_or_path") or "") if isinstance(settings, dict) else ""
