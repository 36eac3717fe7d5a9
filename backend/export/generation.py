"""`generation_config.json`: an answer ends at the end of a turn, and at the end of a text as in the base."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from backend.data.chat.endings import end_tokens
from backend.data.chat.tokenizer import TextTokenizer

FILE = "generation_config.json"


def write(base: Path, tokenizer: TextTokenizer, target: Path) -> None:
    """Write the base's settings with the end-of-turn token first among the tokens that end an answer."""
    settings = _json(base / FILE)
    settings.pop("_from_model_config", None)
    config = _json(base / "config.json")
    for name in ("bos_token_id", "pad_token_id"):
        if settings.get(name) is None and isinstance(config.get(name), int):
            settings[name] = config[name]
    settings["eos_token_id"] = end_tokens(tokenizer, settings.get("eos_token_id"), config.get("eos_token_id"))
    (target / FILE).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return value if isinstance(value, dict) else {}
