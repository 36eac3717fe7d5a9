"""The user's own settings, `$FTTUI_HOME/config.toml`: preferences that are not part of a job."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

import tomlkit

from backend import atomic, paths, suggest, typed
from backend.errors import UserError, wont_do


@dataclass(frozen=True)
class Settings:
    """Each key of config.toml, with its default."""

    theme: str = ""
    """fttui-dark, fttui-light, fttui-contrast, ansi-dark or any other theme of the palette; empty: by the terminal."""
    ascii: bool | None = None
    """Draw with ASCII characters only; left out: only if the terminal can't show more."""
    notify: Literal["desktop", "bell", "off"] = "desktop"
    """What the terminal does when a run that is on the screen ends: a desktop notification and the bell, or less."""
    title: bool = True
    """Show percent and time left in the terminal's title."""
    on_finish: str = ""
    """A shell command that is run when a run has ended; it gets the result as JSON on standard input."""


_TYPES = get_type_hints(Settings)
_WORDS = {"theme": "text", "ascii": "true or false", "title": "true or false", "on_finish": "text"}


def path() -> Path:
    """The file with the settings."""
    return paths.home() / "config.toml"


def load() -> Settings:
    """The settings. Raises UserError that names the key, the value and what it takes; no file means all defaults."""
    try:
        stored = typed.read_toml(path())
    except typed.Missing:
        return Settings()
    except typed.Damaged as error:
        raise UserError(f"{path()} can't be read: {error}; correct it, or remove it", "config") from None
    return Settings(**{key: _checked(key, value) for key, value in stored.items()})


def keep_theme(name: str) -> None:
    """Make `name` the theme of the next sessions too; comments and other keys of the file stay. Raises UserError."""
    try:
        text = typed.read_text(path())
    except typed.Missing:
        text = ""
    except typed.Damaged as error:
        raise UserError(f"{path()} can't be read: {error}; the theme is not kept", "config") from None
    with typed.faults():
        document = tomlkit.parse(text)
        document["theme"] = name
    with paths.kept_in(path()):
        atomic.write(path(), tomlkit.dumps(document), through_link=True)


def _checked(key: str, value: object) -> Any:
    names = [field.name for field in fields(Settings)]
    if key not in names:
        hint = suggest.hint(key, names, f"it takes {', '.join(names)}")
        raise UserError(f"{path()} has no setting {key[:60]!r}; {hint}", "config")
    try:
        return typed.convert(value, _TYPES[key])
    except typed.Damaged:
        takes = _WORDS.get(key) or ", ".join(get_args(_TYPES[key]))
        raise wont_do(f"{path()}: {key}", value, takes, "config") from None
