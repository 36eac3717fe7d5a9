"""Where fttui keeps things: shipped presets beside the packages, everything of the user's under `$FTTUI_HOME`."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from backend.errors import UserError

SHIPPED = Path(__file__).resolve().parent.parent / "presets"
"""Data files that ship: constants, catalogues, presets."""
SHIPPED_PRESETS = SHIPPED / "recipes"


def home() -> Path:
    """`$FTTUI_HOME`, or the platform's user data folder. Created with mode 0700 if it is missing."""
    path = Path(os.environ.get("FTTUI_HOME") or platformdirs.user_data_dir("fttui", appauthor=False)).expanduser()
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def runs() -> Path:
    """The folder that holds one folder a run."""
    return _made(home() / "runs")


def models() -> Path:
    """Models that fttui itself made (the converted demo model)."""
    return _made(home() / "models")


def own_presets() -> Path:
    """Presets that the user saved."""
    return _made(home() / "presets")


def existing(said: str, field: str) -> Path | None:
    """The file or folder that the user's word means; None if there is none, or if it can't be a path at all.

    Raises UserError if it may not be looked at, and for a name that is not UTF-8: no plan and no log can hold it.
    """
    try:
        path = Path(said).expanduser()
        if not path.exists():
            return None
    except PermissionError:
        raise UserError(f"{said} can't be read: you may not open its folder; check its permissions", field) from None
    except (OSError, ValueError, RuntimeError):  # too long, a NUL in it, `~` of an unknown user
        return None
    whole = str(path.absolute())
    if whole != whole.encode("utf-8", "replace").decode():
        raise UserError(f"the path of {said} is not UTF-8; rename what is not", field)
    return path


def _made(path: Path) -> Path:
    path.mkdir(mode=0o700, exist_ok=True)
    return path
