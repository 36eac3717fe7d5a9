"""The command that does what was answered in the wizard."""

from __future__ import annotations

import shlex
from dataclasses import fields

from backend.answers import Answers, Method

_UNITS = ("_usd_per_hour", "_usd", "_hours")
"""Units in names that the command line leaves to its help."""


def option(field: str) -> str:
    """`budget_usd` is `budget` on the command line."""
    for unit in _UNITS:
        field = field.removesuffix(unit)
    return field.replace("_", "-")


def train(answers: Answers, method: Method, preset: str | None = None) -> str:
    """`fttui train PRESET --method ... --model ...`: what differs from the defaults, quoted for a shell."""
    defaults = Answers()
    words = ["fttui", "train", *([shlex.quote(preset)] if preset else []), "--method", method]
    for field in fields(Answers):
        value = getattr(answers, field.name)
        if value == getattr(defaults, field.name):
            continue
        for one in value if isinstance(value, tuple) else (value,):
            text = f"{one:g}" if isinstance(one, float) else str(one)
            words += [f"--{option(field.name)}", shlex.quote(text)]
    return " ".join(words)
