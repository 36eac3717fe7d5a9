"""From what the user typed to rows: a file, a folder of files, a hub id, or `demo`."""

from __future__ import annotations

import difflib
import filecmp
import stat
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from backend import paths, units
from backend.data.constants import constants
from backend.data.finding import Finding, count_of, finding
from backend.data.reading import card, hub
from backend.data.reading.readers import FORMATS, GOES_ON, Value, suffix
from backend.data.reading.selection import Selection, select, without_other_splits
from backend.data.reading.stream import Say, Stream
from backend.errors import UserError

DEMO = paths.SHIPPED / "demo" / "gsm8k.jsonl"
DEPTH = 3
"""Folders below a data folder that are looked into."""


@dataclass(frozen=True)
class Source:
    """Rows as read, before any format is known."""

    reference: str
    rows: Sequence[Value]
    """The rows in order. Those of a large file are read again in each iteration (stream.py)."""
    files: tuple[Path, ...]
    findings: tuple[Finding, ...] = ()
    """What was chosen."""
    held_out: Source | None = None
    """A separate validation split: evaluated on, never trained on."""

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Keys of all rows, in order of appearance."""
        if isinstance(self.rows, Stream):
            return self.rows.columns
        names = dict.fromkeys(key for row in self.rows for key in row)
        return tuple(name for name in names if name != GOES_ON)

    @property
    def factor(self) -> float:
        """Rows of the data for each one here: above 1 if these are a sample."""
        return self.rows.estimated_rows / len(self.rows) if isinstance(self.rows, Stream) else 1.0

    @property
    def is_kept(self) -> bool:
        """All rows are in memory."""
        return not isinstance(self.rows, Stream) or self.rows.is_kept

    @property
    def notes(self) -> tuple[str, ...]:
        """The findings' sentences."""
        return tuple(found.text for found in self.findings)


def load(reference: str, say: Say = lambda text: None, *, samples: bool = False) -> Source:
    """The rows of `reference`. UserError (field `data`) of one sentence if it can't be read or has no rows.

    `say` gets a line now and then while a large file is read. With `samples`, very large data is read in part.
    """
    chosen = _files(reference)
    source = _source(reference, chosen.train, say, samples)
    findings = (*chosen.findings, *source.findings)
    if not chosen.held_out:
        return replace(source, findings=findings)
    held_out = _source(reference, chosen.held_out, say, samples)
    evaluated = _evaluated(held_out)
    return replace(source, findings=(*findings, *held_out.findings, evaluated), held_out=held_out)


def _source(reference: str, files: Sequence[Path], say: Say, samples: bool) -> Source:
    rows = Stream(files, say, samples=samples)
    if not len(rows):
        raise UserError(f"{reference} holds no rows; choose a file that does", "data")
    findings = (*map(_note, rows.notes), *_sampled(rows, files))
    return Source(reference, rows, tuple(files), findings)


def _sampled(rows: Stream, files: Sequence[Path]) -> Iterator[Finding]:
    """That only a part was read."""
    if rows.is_sample:
        whole = sum(path.stat().st_size for path in files)
        read, count = units.disk(rows.read_bytes), f"{rows.estimated_rows:,}"
        text = f"Of {units.disk(whole)} about {read} were read, {len(rows):,} rows; by their bytes there are {count}."
        text += " Counts of rows in other sentences are of those that were read."
        yield finding("notes", "sampled", text)


def _note(text: str) -> Finding:
    return finding("notes", "files", text)


def _evaluated(held_out: Source) -> Finding:
    """That evaluation has files of its own."""
    rows, most = len(held_out.rows), constants().held_out_rows
    names = _listed([Path(x.name) for x in held_out.files])
    count = count_of(rows) if rows <= most else f"{most:,} of {rows:,} rows"
    text = f"Evaluated on the validation split, {names} ({count}): eval_fraction does not apply, no row is held out."
    return finding("notes", "validation-split", text, "--set eval_fraction=0 evaluates on nothing")


def _files(reference: str) -> Selection[Path]:
    if not reference.strip():
        raise UserError("no data was named; give a file, a folder, a hub id or `demo`", "data")
    if reference == "demo":
        return Selection([DEMO], [])
    path = paths.existing(reference, "data")
    if path is not None:
        return _of_folder(path) if path.is_dir() else Selection([_regular(path)], [])
    folder = paths.existing(str(Path(reference).parent), "data")
    if folder is None and hub.is_hub_id(reference) and not _is_misspelt(reference):
        root, found = hub.fetch(reference)
        note = _note(f"{reference}: {_listed([x.relative_to(root) for x in found.train])}.")
        return replace(found, findings=(note, *found.findings))
    raise UserError(f"{reference} does not exist{_nearest(Path(reference), folder)}", "data")


def _is_misspelt(reference: str) -> bool:
    """Whether the name of a data file is misspelt rather than on the hub: its first folder exists on this box."""
    first, *_ = Path(reference).parts
    return suffix(Path(reference)) in FORMATS and paths.existing(first, "data") is not None


def _of_folder(folder: Path) -> Selection[Path]:
    patterns = ["/".join("*" * depth) for depth in range(1, DEPTH + 1)]
    found = _once(folder, (path for pattern in patterns for path in sorted(folder.glob(pattern))))
    visible = [path for path in found if not any(part.startswith(".") for part in path.parts)]
    chosen = select(visible, str(folder))  # relative, since the folder's own name does not tell a split
    chosen = without_other_splits(chosen, card.splits(folder))
    files = Selection([folder / x for x in chosen.train], [folder / x for x in chosen.held_out])
    train, copies = _without_copies(files.train)
    names = [x.relative_to(folder) for x in train]
    left = len(visible) - len(names) - len(copies) - len(chosen.held_out)
    note = f"Of {folder}, {_listed(names)} {'are' if len(names) > 1 else 'is'} used"
    note += f"; {left} other file{'s' * (left != 1)} left out." if left else "."
    return Selection(train, files.held_out, (_note(note), *chosen.findings, *map(_note, copies)))


def _once(folder: Path, files: Iterable[Path]) -> list[Path]:
    """The regular files among `files`, relative to `folder`; each once, however many links lead to it."""
    found: dict[tuple[int, int], Path] = {}
    for path in files:
        try:
            seen = path.stat()
        except OSError:  # a link to itself or to nothing; a closed folder
            continue
        if stat.S_ISREG(seen.st_mode):
            found.setdefault((seen.st_dev, seen.st_ino), path.relative_to(folder))
    return list(found.values())


def _without_copies(files: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """Files of the same bytes are read once; a sentence for each of the others."""
    by_size: dict[int, list[Path]] = defaultdict(list)
    kept, said = [], []
    for path in sorted(files, key=lambda path: (len(path.name), path)):
        same = by_size[path.stat().st_size]
        twin = next((other for other in same if filecmp.cmp(other, path, shallow=False)), None)
        if twin is None:
            same.append(path)
            kept.append(path)
        else:
            said.append(f"{path.name} is a copy of {twin.name} and is left out.")
    return sorted(kept), said


def _regular(path: Path) -> Path:
    if not path.is_file():
        raise UserError(f"{path} is no regular file; give a file or a folder", "data")
    return path


def _listed(names: Sequence[Path]) -> str:
    first = ", ".join(str(name) for name in names[:3])
    return first if len(names) <= 3 else f"{first} and {len(names) - 3} more"


def _nearest(path: Path, folder: Path | None) -> str:
    if folder is None or not folder.is_dir():
        return f" (there is no folder {path.parent}); check the path, or give a hub id as owner/name"
    names = [x.name for x in folder.iterdir() if not x.name.startswith(".")]
    close = difflib.get_close_matches(path.name, names, n=1, cutoff=0.75)
    return f"; did you mean {folder / close[0]}?" if close else "; check the path, or give a hub id as owner/name"
