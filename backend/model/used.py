"""Model folders that were used on this box, to offer them again. Kept in `$FTTUI_HOME/models_used.json`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from backend import paths, typed

_KEPT: Final = 20


def remember(reference: str) -> None:
    """Note a model folder, the newest first; a hub id, a size or `demo` needs no note."""
    path = Path(reference).expanduser()
    if not path.is_dir():
        return
    newest = str(path.resolve())
    kept = [newest, *(known for known in folders() if known != newest)][:_KEPT]
    temporary = _file().with_suffix(".new")
    temporary.write_bytes(msgspec.json.encode(kept))
    temporary.replace(_file())


def folders() -> list[str]:
    """The folders that were noted, the newest first; none if the note is missing or damaged."""
    try:
        return typed.from_json(_file().read_bytes(), list[str])
    except (FileNotFoundError, msgspec.DecodeError):
        return []


def _file() -> Path:
    return paths.home() / "models_used.json"
