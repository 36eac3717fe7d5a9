"""The command that does what the wizard's answers say."""

from __future__ import annotations

import shlex
import unicodedata
from dataclasses import fields

from backend.answers import Answers, Method
from backend.plan import fields as plan_fields

_UNITS = ("_usd_per_hour", "_usd", "_hours")
"""Units in field names that the names of options leave out."""


def option(field: str) -> str:
    """`budget_usd` is `budget` on the command line."""
    for unit in _UNITS:
        field = field.removesuffix(unit)
    return field.replace("_", "-")


def train(answers: Answers, method: Method, preset: str | None = None) -> str:
    """`fttui train PRESET --method ... --model ...`: what differs from the defaults, quoted for a shell."""
    words = ["fttui", "train", *([preset] if preset else []), "--method", method, *options(answers)]
    return " ".join(map(quoted, words))


def launch(answers: Answers, method: Method, on: str, preset: str | None = None) -> str:
    """`fttui launch PRESET --on slurm --method ...`, the command that writes the file for an engine."""
    words = ["fttui", "launch", *([preset] if preset else []), "--on", on, "--method", method, *options(answers)]
    return " ".join(map(quoted, words))


def quoted(word: str) -> str:
    """`word` quoted for a shell. Control characters become escapes (`$'...'` of bash, zsh and ksh)."""
    if word.isprintable():
        return shlex.quote(word)
    return f"$'{''.join(map(_escaped, word))}'"


def _escaped(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    if character.isprintable() or unicodedata.category(character) == "Zs":
        return character
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))


def options(answers: Answers) -> list[str]:
    """The options for every answer that differs from the defaults, one word an item."""
    defaults, words = Answers(), []
    for field in fields(Answers):
        value = getattr(answers, field.name)
        if value == getattr(defaults, field.name):
            continue
        for one in value if isinstance(value, tuple) else (value,):
            words += [f"--{option(field.name)}", plan_fields.exact(one)]
    return words
