"""The rows of files in order, read again in each iteration unless they are few enough to be kept in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import overload

from backend.data.constants import constants
from backend.data.reading.readers import GOES_ON, Reading, Value, rows_of, unpacked_bytes
from backend.errors import UserError

ROW_BYTES = 600
"""Memory of a row's objects besides their text."""
EVERY = 64
"""One row in this many is measured to estimate the memory that all of them would take."""
SAID_EVERY = 200_000
MOST_COLUMNS = 2000
"""The most columns; if there are more, values were written as keys."""

Say = Callable[[str], None]


class Stream(Sequence[Value]):
    """Rows of files. `len`, slices and repeated iteration work as with a list; memory is bounded."""

    def __init__(self, files: Sequence[Path], say: Say = lambda text: None, *, samples: bool = False) -> None:
        """Goes through all rows once. UserError (field `data`) if one can't be read, or files share no column.

        With `samples`, only a part of very large files is read: the rows of this object are those of that part.
        """
        self._files = tuple(files)
        self._part = _part(files) if samples else 1.0
        self.estimated_rows = 0
        """Rows of the files; by their bytes if only a part of them is read."""
        self.read_bytes = 0
        """About how much is read of them."""
        self._kept: list[Value] | None = []
        self._count = 0
        self.notes: list[str] = []
        """Sentences about what was chosen within the files."""
        names = [self._scan(path, say) for path in self._files]
        self.columns = tuple(name for name in dict.fromkeys(x for part in names for x in part) if name != GOES_ON)
        """Keys of all rows, in order of appearance."""
        if len(self.columns) > MOST_COLUMNS:
            what = f"the rows have {len(self.columns):,} different keys, such as {', '.join(self.columns[:3])}"
            raise UserError(f"{what}; give all rows the same few, with what differs as their values", "data")
        _refuse_strangers(self._files, names)

    def __iter__(self) -> Iterator[Value]:
        if self._kept is not None:
            return iter(self._kept)
        return (row for path in self._files for row in rows_of(path, self._reading(path)))

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, at: int) -> Value: ...
    @overload
    def __getitem__(self, at: slice) -> list[Value]: ...
    def __getitem__(self, at: int | slice) -> Value | list[Value]:
        """Rows by number. Goes through those before them if they are not kept."""
        if self._kept is not None:
            return self._kept[at]
        if isinstance(at, slice):
            return list(islice(self, *at.indices(self._count)))
        return next(islice(self, range(self._count)[at], None))

    @property
    def is_sample(self) -> bool:
        """These rows are a part of the files'."""
        return self._part < 1

    @property
    def is_kept(self) -> bool:
        """All rows are in memory."""
        return self._kept is not None

    def _scan(self, path: Path, say: Say) -> dict[str, None]:
        names: dict[str, None] = {}
        memory, most = self._count * ROW_BYTES, constants().kept_bytes
        before, reading = self._count, self._reading(path)
        for row in rows_of(path, reading):
            if not row.keys() <= names.keys():
                names.update(dict.fromkeys(row))
            if self._kept is not None:
                self._kept.append(row)
                if self._count % EVERY == 0:
                    memory += EVERY * (len(repr(row)) + ROW_BYTES)
                    self._kept = self._kept if memory <= most else None
            self._count += 1
            if self._count % SAID_EVERY == 0:
                say(f"read {self._count:,} rows")
        self.notes += reading.notes
        self.estimated_rows += round((self._count - before) / max(reading.share, 1e-9))
        self.read_bytes += round(unpacked_bytes(path) * reading.share)
        return names

    def _reading(self, path: Path) -> Reading:
        return Reading(int(unpacked_bytes(path) * self._part) if self.is_sample else None)


def _part(files: Sequence[Path]) -> float:
    """The part of the files that is read: all unless that would take over a minute."""
    total = sum(map(unpacked_bytes, files))
    return 1.0 if total <= constants().whole_bytes else constants().sample_bytes / total


def _refuse_strangers(files: Sequence[Path], names: Sequence[dict[str, None]]) -> None:
    """Refuse files without a column in common: they are not parts of one data set."""
    for path, columns in zip(files, names, strict=True):
        if columns and names[0] and not columns.keys() & names[0].keys():
            first, other = (", ".join(list(x)[:4]) for x in (names[0], columns))
            what = f"{files[0].name} ({first}) and {path.name} ({other}) have no column in common"
            raise UserError(f"{what}; name one of the files", "data")
