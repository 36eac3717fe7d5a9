"""Model folders that were used on this box, to offer them again. Kept in `$FTTUI_HOME/models_used.json`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from backend import atomic, paths, typed

_KEPT: Final = 20


def remember(reference: str) -> None:
    """Note a model folder, the newest first; a hub id, a size or `demo` needs no note."""
    path = paths.existing(reference, "model")
    if path is None or not path.is_dir():
        return
    newest = str(path.resolve())
    kept = [newest, *(known for known in folders() if known != newest)][:_KEPT]
    atomic.write(_file(), msgspec.json.encode(kept))


def folders() -> list[str]:
    """The folders that were noted, the newest first; none if the note is missing or damaged."""
    try:
        return [known for known in typed.read_json(_file(), list[str]) if known and "\0" not in known]
    except typed.Damaged:
        return []


def _file() -> Path:
    return paths.home() / "models_used.json"
