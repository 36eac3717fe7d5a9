"""The folder that the user wants the result copied to: checked before the training, not after it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from backend import paths
from backend.errors import UserError


def refuse_unusable(output: str) -> None:
    """Raise UserError if no result could be copied to `output`: it holds something, or can't be written to."""
    try:
        why = _trouble(paths.expanded(output).absolute())
    except (OSError, ValueError, RuntimeError) as error:  # no permission, not UTF-8, `~` of an unknown user
        why = getattr(error, "strerror", None) or str(error).rstrip(".")
    if why:
        raise UserError(f"output: {output!r} won't do ({why}); it takes a new or an empty folder", "output")


def _trouble(path: Path) -> str:
    """Why `path` can't be used; empty if it can. Tries to make a folder beside it."""
    str(path).encode()  # a plan is UTF-8
    if path.is_dir():
        if any(path.iterdir()):
            return "it holds files already"
    elif os.path.lexists(path):
        return "it is no folder"
    nearest = next(folder for folder in (path, *path.parents) if folder.exists())
    with tempfile.TemporaryDirectory(prefix=".fttui-", dir=nearest) as tried:
        Path(tried, path.relative_to(nearest)).mkdir(parents=True, exist_ok=True)
    return ""
