"""Parses and checks a preset's TOML; an error names its line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

from backend import suggest, typed
from backend.answers import Answers
from backend.errors import UserError, wont_do
from backend.plan import fields

JOB_TYPES = {name: kind for name, kind in get_type_hints(Answers).items() if name != "set"}
"""What [job] takes: the answers, each with its type."""


class PresetError(UserError):
    """A preset that can't be used; `line` is the line at fault, from 1, or None."""

    def __init__(self, reason: str, line: int | None) -> None:
        super().__init__(reason, "preset")
        self.line = line


@dataclass(frozen=True)
class PresetParts:
    """What a preset's file says."""

    description: str
    plan: Mapping[str, Any]
    job: Mapping[str, Any]
    made_for: Mapping[str, Any]
    """`device`, and the plan fields that were chosen for it."""


def parse(name: str, text: str) -> PresetParts:
    """The parts of the preset called `name`. Raises PresetError: one sentence that names line, field and fix."""
    try:
        document = typed.plain_toml(text)
    except typed.Damaged as error:
        raise _no_toml(name, text, str(error)) from None
    description, job, made_for = (document.pop(key, empty) for key, empty in _TABLES)
    for table, found in (("job", job), ("made_for", made_for)):
        if not isinstance(found, dict):
            raise _wrong(name, text, table, f"[{table}] must be a table")
    device = {"device": str(made_for.pop("device"))} if "device" in made_for else {}
    return PresetParts(
        description=str(description),
        plan=_plan(name, text, document),
        job={key: _job_value(name, text, key, value) for key, value in job.items()},
        made_for=device | _plan(name, text, made_for),
    )


def _no_toml(name: str, text: str, error: str) -> PresetError:
    """The error of a text that is no TOML: tomllib's message ends with the place."""
    lines = text.split("\n")
    at = re.search(r"\(at line (\d+), column \d+\)$", error)
    number = int(at[1]) if at else len(text.rstrip().split("\n")) if error.endswith("(at end of document)") else None
    if number is None or number > len(lines):
        return PresetError(f"preset {name} is no TOML: {error}", None)
    return PresetError(f"preset {name}, line {number}: {_in_words(lines[number - 1], error)}", number)


def _in_words(line: str, error: str) -> str:
    """What is wrong with a line that is no TOML."""
    key, equals, value = (part.strip() for part in line.partition("="))
    value = value.partition("#")[0].strip()
    if key and equals and not value:
        return f"{key} has no value"
    if "overwrite" in error or "twice" in error:
        return f"{line.strip()} appears twice" if not equals else f"{key} has a value already"
    if key and re.fullmatch(r"[A-Za-z][\w-]*", value):
        return f'text must be in quotes: {key} = "{value}"'
    return f"{line.strip():.60} is no TOML; it takes lines such as rank = 16"


_TABLES: tuple[tuple[str, Any], ...] = (("description", ""), ("job", {}), ("made_for", {}))


def _plan(name: str, text: str, table: Mapping[str, Any]) -> dict[str, Any]:
    parsed = {}
    for key, value in table.items():
        try:
            parsed[key] = fields.parse(key, value)
        except UserError as error:
            raise _wrong(name, text, key, str(error)) from None
    return parsed


def _job_value(name: str, text: str, key: str, value: object) -> Any:
    if key not in JOB_TYPES:
        hint = suggest.hint(key, JOB_TYPES, f"it takes {', '.join(JOB_TYPES)}", alike=0.6)
        raise _wrong(name, text, key, f"[job] has no {key!r}; {hint}")
    try:
        return typed.convert(value, JOB_TYPES[key])
    except typed.Damaged as error:
        said = wont_do(f"[job] {key}", value, fields.takes(JOB_TYPES[key], str(error)))
        raise _wrong(name, text, key, str(said)) from None


def _wrong(name: str, text: str, key: str, reason: str) -> PresetError:
    line = line_of(text, key)
    return PresetError(f"preset {name}{f', line {line}' if line else ''}: {reason}", line)


def line_of(text: str, key: str) -> int | None:
    """The line of `key`, or of the table with that name, in a TOML text."""
    pattern = re.compile(rf"""\s*(\[\s*)?["']?{re.escape(key)}["']?\s*[\]=]""")
    return next((number for number, line in enumerate(text.split("\n"), 1) if pattern.match(line)), None)
