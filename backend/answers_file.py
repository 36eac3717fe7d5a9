"""The last answers, `$FTTUI_HOME/answers.toml`: the next defaults. A broken file does no harm.

Beside the answers it has the table `prices`: device -> the price of an hour that the user gave for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Annotated

import tomlkit
from msgspec import Meta

from backend import atomic, paths, typed
from backend.answers import Answers

OF_ONE_RUN = ("adapter", "add_tokens")
"""Answers that would surprise as the next defaults."""


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


def prices() -> dict[str, float]:
    """Device -> USD an hour of one, as the user gave it. What can't be read is left out."""
    try:
        stored = typed.read_toml(path()).get("prices", {})
        return typed.convert(stored, dict[str, Annotated[float, Meta(ge=0)]])
    except typed.Damaged:
        return {}


def save(answers: Answers, prices: Mapping[str, float] | None = None) -> None:
    """Keep `answers`, without open ones and what belongs to one run only, and the prices of devices."""
    stored: dict[str, object] = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in asdict(answers).items()
        if value not in (None, "", ()) and name not in OF_ONE_RUN
    }
    if prices:
        stored["prices"] = dict(prices)
    atomic.write(path(), tomlkit.dumps(stored))
