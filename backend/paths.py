"""Where fttui keeps its files: shipped presets beside the packages, the user's files under `$FTTUI_HOME`."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import platformdirs

from backend.errors import TRAINING_FAILED, UserError

SHIPPED = Path(__file__).resolve().parent.parent / "presets"
"""Data files that ship: constants, catalogues, presets."""
SHIPPED_PRESETS = SHIPPED / "recipes"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class HomeUnusable(UserError):
    """A file or folder under `$FTTUI_HOME` can't be read or written to: exit code 2, or 4 if the disk is full."""

    def __init__(self, where: Path, error: OSError) -> None:
        full = error.errno in _FULL
        fix = "free some space, or set" if full else "set"
        why = (error.strerror or str(error)).lower()
        super().__init__(f"{where} can't be used ({why}); {fix} FTTUI_HOME to a folder that can be written to", "home")
        self.exit_code = TRAINING_FAILED if full else UserError.exit_code


def home() -> Path:
    """`$FTTUI_HOME`, or the platform's user data folder. Created with mode 0700 if it is missing.

    If it can't be created, files to be read there are just missing, and writing there raises the system's error.
    """
    path = Path("~/.local/share/fttui")
    with suppress(OSError, RuntimeError):  # `~` of an unknown user, no HOME at all, or a current folder that is gone
        path = Path(os.environ.get("FTTUI_HOME") or platformdirs.user_data_dir("fttui", appauthor=False))
        path = path.expanduser().absolute()
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def expanded(path: str | Path) -> Path:
    """`path` with the home folder in place of `~`; unchanged if there is none: an unknown user, or no HOME at all."""
    with suppress(RuntimeError):
        return Path(path).expanduser()
    return Path(path)


def runs() -> Path:
    """The folder that holds one folder a run. Raises HomeUnusable if there is none and none can be made."""
    return _made(home() / "runs")


def models() -> Path:
    """Models that fttui itself made (the converted demo model)."""
    path = home() / "models"
    with suppress(OSError):
        path.mkdir(mode=0o700, exist_ok=True)
    return path


def own_presets() -> Path:
    """Presets that the user saved."""
    path = home() / "presets"
    with suppress(OSError):
        path.mkdir(mode=0o700, exist_ok=True)
    return path


@contextmanager
def kept_in(where: Path) -> Iterator[None]:
    """A context for reading or writing a file of the user at `where`: OSError is raised as HomeUnusable."""
    try:
        yield
    except OSError as error:
        raise HomeUnusable(where, error) from None


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
    if str(path) != str(path).encode("utf-8", "replace").decode():
        fix = "set FTTUI_HOME to a folder whose path is"
        raise UserError(f"the path {path.parent} is not UTF-8, so that no plan and no log can hold it; {fix}", "home")
    try:
        path.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise HomeUnusable(path.parent, error) from None
    return path
