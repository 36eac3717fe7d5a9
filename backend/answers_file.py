"""The last finished answers, `$FTTUI_HOME/answers.toml`: the next defaults. A broken file does no harm."""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path

import tomlkit

from backend import atomic, paths, typed
from backend.answers import Answers


def path() -> Path:
    """The file that keeps the answers."""
    return paths.home() / "answers.toml"


def load() -> Answers:
    """The last answers. What can't be read, or is no valid answer, is left at its default, field by field."""
    try:
        stored = typed.read_toml(path())
    except typed.Damaged:
        return Answers()
    kept: dict[str, object] = {}
    for field in fields(Answers):
        if field.name in stored:
            try:
                one = typed.convert({field.name: stored[field.name]}, Answers)
            except typed.Damaged:
                continue
            kept[field.name] = getattr(one, field.name)
    return typed.convert(kept, Answers)


def save(answers: Answers) -> None:
    """Keep `answers`; open ones are left out."""
    stored = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in asdict(answers).items()
        if value not in (None, "", ())
    }
    atomic.write(path(), tomlkit.dumps(stored))
