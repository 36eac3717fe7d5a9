"""The TOML that we write ourselves, read fast: a list of runs reads hundreds of such files.

It takes one value a line, in a notation that is JSON too, under tables that are named once. Anything else is left to a
full parser, which takes some twenty times as long.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

_TEXT = r'"[^"\\\x00-\x1f\x7f]*"'
_NUMBER = r"-?(?:0|[1-9]\d{0,17})(?:\.\d{1,20})?(?:e[+-]?\d{1,2})?"
_VALUE = re.compile(rf"(?:{_TEXT}|{_NUMBER}|true|false|\[(?:{_TEXT}(?:, {_TEXT})*)?\])")
_KEY, _TABLE = (
    re.compile(r"[A-Za-z_][A-Za-z0-9_]*"),
    re.compile(r"\[[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_]\w*)*\]", re.ASCII),
)


def read(text: str) -> dict[str, Any] | None:
    """The values of `text`; None if it is spelt in any other way, or is no TOML at all."""
    whole: dict[str, Any] = {}
    table, values = whole, list[tuple[dict[str, Any], str, str]]()
    for line in text.split("\n"):
        key, equals, value = line.partition(" = ")
        if equals:
            if key in table or not _KEY.fullmatch(key) or not _VALUE.fullmatch(value):
                return None
            table[key] = None
            values.append((table, key, value))
        elif line:
            if not _TABLE.fullmatch(line) or (made := _made(whole, line[1:-1].split("."))) is None:
                return None
            table = made
    decoded = msgspec.json.decode(f"[{','.join(value for _, _, value in values)}]")
    for (place, key, _), value in zip(values, decoded, strict=True):
        place[key] = value
    return whole


def _made(whole: dict[str, Any], names: list[str]) -> dict[str, Any] | None:
    """The new table of that name; None if its parent is no table, or if there is something of that name."""
    parent = whole
    for name in names[:-1]:
        inner = parent.get(name)
        if not isinstance(inner, dict):
            return None
        parent = inner
    return None if names[-1] in parent else parent.setdefault(names[-1], {})
