"""Rotary settings in a result's config.json under the names of before transformers 5 too.

transformers 5 writes them as `rope_parameters` alone. What reads `rope_theta` and `rope_scaling` (transformers 4, and
the converters of Ollama and MLX) takes its default for them then, silently: another model of the same weights.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backend import typed
from backend.errors import UserError
from backend.training import auto

_NAMES = (
    *("rope_theta", "rope_scaling", "rope_local_base_freq", "partial_rotary_factor", "rotary_pct", "rotary_emb_base"),
    "original_max_position_embeddings",
)
_NEWER, _FILE = "rope_parameters", "config.json"


def add(folder: Path, base: Path) -> None:
    """Add them to config.json in `folder`: as in `base`, whose settings are the same, or else as they are named newly.

    Nothing is changed if transformers would then read other settings.
    """
    path = folder / _FILE
    before, wanted = path.read_bytes(), _as_read(folder)
    config, earlier = _json(path), _json(base / _FILE)
    for part, old in ((config, earlier), (config.get("text_config"), earlier.get("text_config"))):
        if isinstance(part, dict):
            _add(part, old if isinstance(old, Mapping) else {})
    if config == _json(path):
        return
    path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    if _as_read(folder) != wanted:
        path.write_bytes(before)


def _json(path: Path) -> dict[str, Any]:
    try:
        return typed.read_json(path, dict[str, Any])
    except typed.Damaged:  # a base that was made in memory has none
        return {}


def _add(part: dict[str, Any], old: Mapping[str, Any]) -> None:
    rope = part.get(_NEWER)
    if not isinstance(rope, Mapping):
        return
    for name in _NAMES:
        if old.get(name) is not None:
            part.setdefault(name, old[name])
    if "rope_theta" in rope:  # one kind for all blocks
        part.setdefault("rope_theta", rope["rope_theta"])
        kind = rope.get("rope_type", "default")
        scaling = {key: value for key, value in rope.items() if key != "rope_theta"}
        if kind != "default":
            part.setdefault("rope_scaling", scaling | {"type": kind})


def _as_read(folder: Path) -> Any:
    """The rotary settings of the whole and of its text part as transformers reads them; None if it refuses them."""
    try:
        config = auto.config(folder)
    except UserError:
        return None
    found = (getattr(part, _NEWER, None) for part in (config, config.get_text_config()))
    return [{key: value for key, value in (rope or {}).items() if key != "type"} for rope in found]
