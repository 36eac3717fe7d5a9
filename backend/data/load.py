"""From what the user typed to rows: a file, a folder of files, a hub id, or `demo`."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

from backend import paths
from backend.data import hub
from backend.data.readers import FORMATS, GOES_ON, Value, suffix
from backend.data.selection import training_files
from backend.errors import UserError

DEMO = paths.SHIPPED / "demo" / "gsm8k.jsonl"
DEPTH = 3
"""Folders below a data folder that are looked into."""


@dataclass(frozen=True)
class Source:
    """Rows as read, before any format is known."""

    reference: str
    rows: list[Value]
    files: tuple[Path, ...]
    notes: tuple[str, ...] = ()
    """Sentences about what was chosen."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Keys of the first rows, in order of appearance."""
        names = dict.fromkeys(key for row in self.rows[:200] for key in row)
        return tuple(name for name in names if name != GOES_ON)


def load(reference: str) -> Source:
    """The rows of `reference`. UserError (field `data`) of one sentence where it can't be read or has no rows."""
    files, notes = _files(reference)
    rows = [row for path in files for row in FORMATS[suffix(path)].read(path)]
    if not rows:
        raise UserError(f"{reference} holds no rows; choose a file that does", "data")
    return Source(reference, rows, tuple(files), notes)


def _files(reference: str) -> tuple[list[Path], tuple[str, ...]]:
    if not reference.strip():
        raise UserError("no data was named; give a file, a folder, a hub id or `demo`", "data")
    if reference == "demo":
        return [DEMO], ()
    path = paths.existing(reference, "data")
    if path is not None:
        return _of_folder(path) if path.is_dir() else ([_known(path)], ())
    folder = paths.existing(str(Path(reference).parent), "data")
    if hub.is_hub_id(reference) and folder is None:
        root, files = hub.fetch(reference)
        return files, (f"{reference}: {_listed([x.relative_to(root) for x in files])}.",)
    raise UserError(f"{reference} does not exist{_nearest(Path(reference), folder)}", "data")


def _of_folder(folder: Path) -> tuple[list[Path], tuple[str, ...]]:
    patterns = ["/".join("*" * depth) for depth in range(1, DEPTH + 1)]
    found = [path.relative_to(folder) for pattern in patterns for path in folder.glob(pattern) if path.is_file()]
    visible = [path for path in found if not any(part.startswith(".") for part in path.parts)]
    names = training_files(visible, str(folder))  # relative: the folder's own name says nothing of a split
    left = len(visible) - len(names)
    note = f"Of {folder}, {_listed(names)} {'are' if len(names) > 1 else 'is'} used"
    note += f"; {left} other file{'s' * (left != 1)} left out." if left else "."
    return [folder / name for name in names], (note,)


def _known(path: Path) -> Path:
    if not path.is_file():
        raise UserError(f"{path} is no regular file; give a file or a folder", "data")
    if suffix(path) not in FORMATS:
        known = ", ".join(FORMATS)
        what = f"{suffix(path)} is no known data format" if suffix(path) else "its name has no ending"
        raise UserError(f"{path.name} can't be read: {what}; use one of {known}", "data")
    return path


def _listed(names: list[Path]) -> str:
    first = ", ".join(str(name) for name in names[:3])
    return first if len(names) <= 3 else f"{first} and {len(names) - 3} more"


def _nearest(path: Path, folder: Path | None) -> str:
    if folder is None or not folder.is_dir():
        return f" (there is no folder {path.parent}); check the path, or give a hub id as owner/name"
    names = [x.name for x in folder.iterdir() if not x.name.startswith(".")]
    close = difflib.get_close_matches(path.name, names, n=1, cutoff=0.75)
    return f"; did you mean {folder / close[0]}?" if close else "; check the path, or give a hub id as owner/name"
