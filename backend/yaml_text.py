"""Writes YAML that all parsers read alike: JSON values, and numbers that no parser takes for text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any


def document(comments: Sequence[str], settings: Mapping[str, Any]) -> str:
    """The comments, then a line a setting. None is left out."""
    said = [f"# {_harmless(line)}".rstrip() for line in comments]
    return "\n".join([*said, *(f"{key}: {value(x)}" for key, x in settings.items() if x is not None)]) + "\n"


def value(x: Any) -> str:
    """`x` in JSON's notation, which is YAML's flow style."""
    if isinstance(x, float):
        text = repr(x)
        # PyYAML takes 2e-05 for a word: YAML 1.1 wants a point
        return text.replace("e", ".0e") if "e" in text and "." not in text else text
    if isinstance(x, Mapping):
        return "{" + ", ".join(f"{value(key)}: {value(one)}" for key, one in x.items()) + "}"
    if isinstance(x, list | tuple):
        return "[" + ", ".join(map(value, x)) + "]"
    return json.dumps(x)


def _harmless(line: str) -> str:
    """Keep outside text in a comment on its line."""
    return "".join(c if c.isprintable() else "\ufffd" for c in line)
