"""`generation_config.json`: an answer ends where a turn ends, and where the base's texts did."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from backend.data.tokenizer import TextTokenizer
from backend.export import chat

FILE = "generation_config.json"


def write(base: Path, tokenizer: TextTokenizer, target: Path) -> None:
    """Write the base's settings with the end-of-turn token first among the tokens that end an answer."""
    settings = _json(base / FILE)
    settings.pop("_from_model_config", None)
    config = _json(base / "config.json")
    for name in ("bos_token_id", "pad_token_id"):
        if settings.get(name) is None and isinstance(config.get(name), int):
            settings[name] = config[name]
    known = [*_ids(settings.get("eos_token_id")), *_ids(config.get("eos_token_id"))]
    ends = [chat.end_of_turn(tokenizer), tokenizer.token_id("eos_token"), *known]
    settings["eos_token_id"] = list(dict.fromkeys(x for x in ends if x is not None))
    (target / FILE).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def _ids(value: Any) -> list[int]:
    return value if isinstance(value, list) else [value] if isinstance(value, int) else []


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return value if isinstance(value, dict) else {}
