"""Plan fields as text: parsing and validation for `--set`, presets and the review screen."""

from __future__ import annotations

import dataclasses
import math
import re
import typing
from collections.abc import Iterable
from typing import Any

from backend import suggest, typed
from backend.errors import UserError, wont_do
from backend.plan.plan import Plan

NAMES: tuple[str, ...] = tuple(field.name for field in dataclasses.fields(Plan))
LARGEST = 2**32 - 1
"""The largest value of any plan field: the range of seeds, which is far beyond that of all others."""
_TYPES = typing.get_type_hints(Plan, include_extras=True)


def parse(key: str, value: object) -> Any:
    """The value of plan field `key` from text or TOML. Raises UserError that names field, value and what it takes."""
    if key not in NAMES:
        hint = suggest.hint(key, NAMES, "`fttui train --help` lists them under --set")
        raise UserError(f"there is no plan field {key!r}; {hint}", key)
    if isinstance(value, str):
        value = value.strip()
    elif isinstance(value, list):
        value = ",".join(str(item) for item in value)
    try:
        parsed = typed.convert(value, _TYPES[key], strict=False)
    except typed.Damaged as error:
        raise wont_do(key, value, takes(_TYPES[key], str(error))) from None
    if isinstance(parsed, float) and math.isinf(parsed):
        raise wont_do(key, value, "a finite number")
    if isinstance(parsed, int | float) and abs(parsed) > LARGEST:
        raise wont_do(key, value, f"a number of at most {LARGEST:,}")
    if key == "target_modules":
        return _names(key, str(parsed), "all-linear or a comma list such as q_proj,v_proj")
    if key == "modules_to_save" and parsed:
        return _names(key, str(parsed), "a comma list such as embed_tokens,lm_head")
    return parsed


def parse_settings(settings: Iterable[str]) -> dict[str, Any]:
    """`key=value` texts as a dictionary of plan fields; the last value of a field counts. Raises UserError."""
    parsed: dict[str, Any] = {}
    for said in settings:
        key, equals, value = said.partition("=")
        if not equals:
            raise UserError(f"--set takes key=value, not {said!r}", "set")
        parsed[key.strip()] = parse(key.strip(), value)
    return parsed


def set_once(settings: dict[str, Any], key: str, value: object) -> None:
    """Set plan field `key`. Raises UserError if it has another value already: one of the two would be passed over."""
    if settings.setdefault(key, value) != value:
        values = f"{text(settings[key])} and {text(value)}"
        raise UserError(f"{key} is set twice, to {values}; leave one of them out", key)


def choices(key: str) -> tuple[str, ...]:
    """The words that a field of fixed words takes; empty for numbers and free text."""
    return ("true", "false") if _TYPES[key] is bool else _words(_TYPES[key])


def text(value: object) -> str:
    """A plan value as it is shown: as in TOML and after `--set key=`, with six digits at most."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def exact(value: object) -> str:
    """As `text`, with every digit that the value needs: what is read back from it is the same value."""
    short = text(value)
    return short if not isinstance(value, float) or float(short) == value else repr(value)


def takes(kind: Any, error: str) -> str:
    """What a value of type `kind` takes, in words; `error` is msgspec's message for a wrong value."""
    if type(None) in typing.get_args(kind):
        kind = typing.get_args(kind)[0]
    words = ("true", "false") if kind is bool else _words(kind)
    if words:
        return f"{', '.join(words[:-1])} or {words[-1]}"
    bound = re.search(r"`(int|float)` (>=|>|<=|<) ?(-?[\d.]+)", error)
    if bound:
        number = "a whole number" if bound[1] == "int" else "a number"
        words_for = {">=": "of at least", ">": "above", "<=": "of at most", "<": "below"}
        return f"{number} {words_for[bound[2]]} {float(bound[3]):g}"
    base = typing.get_args(kind)[0] if typing.get_origin(kind) is typing.Annotated else kind
    return {int: "a whole number", float: "a number", str: "text"}.get(base, "a list of texts")


def _words(kind: Any) -> tuple[str, ...]:
    return tuple(map(str, typing.get_args(kind))) if typing.get_origin(kind) is typing.Literal else ()


def _names(key: str, value: str, takes: str) -> str:
    """A comma list of module names, each once."""
    names = dict.fromkeys(name.strip() for name in value.split(",") if name.strip())
    if not names or any(not re.fullmatch(r"[\w.-]+", name) for name in names):
        raise wont_do(key, value, takes)
    return ",".join(names)
