"""Where fttui keeps things: shipped presets beside the packages, everything of the user's under `$FTTUI_HOME`."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

SHIPPED = Path(__file__).resolve().parent.parent / "presets"


def home() -> Path:
    """`$FTTUI_HOME`, or the platform's user data folder. Created with mode 0700 where it is missing."""
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


def _made(path: Path) -> Path:
    path.mkdir(mode=0o700, exist_ok=True)
    return path
