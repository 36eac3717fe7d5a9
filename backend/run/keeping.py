"""Notes, renames and deletes runs that are kept. A run that trains can't be renamed or deleted."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from backend import atomic, paths, typed
from backend.errors import UserError, wont_do
from backend.run.folder import RunFolder, all_runs

_STAMP = re.compile(r"\d{8}-\d{6}-")
_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,79}")
_LONGEST_NOTE = 500


def note(folder: RunFolder) -> str:
    """What the user noted about the run; empty if nothing, or nothing that can be read."""
    try:
        return typed.read_text(_file(folder)).strip()[:_LONGEST_NOTE]
    except typed.Damaged:
        return ""


def write_note(folder: RunFolder, text: str) -> None:
    """Keep a note, one line; an empty one takes it away. Raises UserError if it can't be written."""
    _still_there(folder)
    with paths.kept_in(folder.path):
        if line := " ".join(text.split())[:_LONGEST_NOTE]:
            atomic.write(_file(folder), line + "\n")
        else:
            _file(folder).unlink(missing_ok=True)


def rename(folder: RunFolder, name: str) -> RunFolder:
    """Give the run another name; it keeps the time at its front, by which runs are ordered.

    Raises UserError for a name that is taken or not valid, and for a run that trains.
    """
    stamp = _STAMP.match(folder.name)
    wanted = name.strip().removeprefix(stamp[0] if stamp else "")
    if not _NAME.fullmatch(wanted):
        raise wont_do("name", name, "letters, digits, - and _", "name")
    target = folder.path.with_name(f"{stamp[0] if stamp else ''}{wanted}")
    if target == folder.path:
        return folder
    if any(run.name == target.name for run in all_runs()):
        raise UserError(f"there is a run {target.name} already; take another name", "name")
    _still_there(folder)
    with folder.hold(), paths.kept_in(target):
        return RunFolder(folder.path.rename(target))


def delete(folder: RunFolder) -> None:
    """Delete the run with its checkpoints and its result. Raises UserError for a run that trains."""
    _still_there(folder)
    with folder.hold(), paths.kept_in(folder.path):
        shutil.rmtree(folder.path)


def disk_bytes(folder: RunFolder) -> int:
    """What deleting it frees."""
    return sum(path.lstat().st_size for path in folder.path.rglob("*") if path.is_file() and not path.is_symlink())


def _still_there(folder: RunFolder) -> None:
    """Raises UserError if the run was removed since it was listed."""
    if not folder.path.is_dir():
        raise UserError(f"run {folder.name} is gone: its folder was removed, renamed or moved", "run")


def _file(folder: RunFolder) -> Path:
    return folder.path / "note.txt"
