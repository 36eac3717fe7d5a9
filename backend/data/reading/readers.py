"""The rows of one file, whatever its format. Its content takes precedence over the ending of its name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from backend.data.reading.arrow_rows import arrow_rows, parquet_rows
from backend.data.reading.csv_rows import csv_rows, is_table
from backend.data.reading.json_rows import json_rows, starts_as_json
from backend.data.reading.plain_rows import plain_rows
from backend.data.reading.sniff import (
    ARROW_FILE,
    ARROW_STREAM,
    COMPRESSIONS,
    LONGEST_ROW,
    PARQUET,
    Opened,
    opened,
    suffix,
)
from backend.data.row import GOES_ON, TEXT_COLUMN, Value
from backend.errors import UserError

__all__ = ["FORMATS", "GOES_ON", "TEXT_COLUMN", "Format", "Reading", "Value", "rows_of", "suffix", "unpacked_bytes"]


CHECKED_EVERY = 1000
"""Rows after which the position in the file is checked, for the progress."""
PACKED_FACTOR = 4
"""About how many times its compressed size text takes."""


@dataclass(frozen=True)
class Format:
    """A file format: its name for the user and how to read it."""

    name: str
    rows: Callable[[Opened], Iterator[Value]]


_PARQUET, _ARROW = Format("Parquet", parquet_rows), Format("Arrow", arrow_rows)
_JSON = Format("JSON", json_rows)
_TEXT, _LINES = (".txt", ".md"), (".jsonl", ".ndjson", ".jsonlines")
FORMATS: dict[str, Format] = {
    **dict.fromkeys(_LINES, Format("JSONL", json_rows)),
    ".json": _JSON,
    ".csv": Format("CSV", csv_rows),
    ".tsv": Format("TSV", csv_rows),
    ".parquet": _PARQUET,
    ".arrow": _ARROW,
    **dict.fromkeys(_TEXT, Format("text", plain_rows)),
}
"""Ending of a name -> format. The content of a single file takes precedence."""


@dataclass
class Reading:
    """How much of a file is read, and what is learned on the way."""

    excerpt_bytes: int | None = None
    """About how many bytes to read: evenly spaced over a file of JSON lines, from the start of other files."""
    share: float = 1.0
    """The part of the file that was read."""
    notes: list[str] = field(default_factory=list)
    """Sentences about what was chosen within the file."""


def rows_of(path: Path, reading: Reading | None = None) -> Iterator[Value]:
    """The file's rows, read as they are asked for. UserError (field `data`) that names the line or the row."""
    reading = reading or Reading()
    limit = 1.0
    if reading.excerpt_bytes is not None:
        limit = reading.excerpt_bytes / max(1, unpacked_bytes(path))
    with opened(path, reading.excerpt_bytes) as file:
        for number, row in enumerate(_format(file).rows(file)):
            if (column := _too_long(row)) is not None:
                what = f"row {number + 1}, {column!r} holds more than {LONGEST_ROW >> 20} MB; divide it, or remove it"
                raise file.refuse(what)
            yield row
            if limit < 1 and number % CHECKED_EVERY == 0 and file.progress() >= limit:
                break
        reading.share = min(1.0, file.progress()) if limit < 1 else 1.0
        reading.notes += file.notes


def _too_long(row: Value) -> str | None:
    """The first column whose text is too long for any model; None if there is none."""
    return next((name for name, cell in row.items() if type(cell) is str and len(cell) > LONGEST_ROW), None)


def unpacked_bytes(path: Path) -> int:
    """About how large the file's content is."""
    packed = path.suffix.lower() in (*COMPRESSIONS, ".parquet")
    return path.stat().st_size * (PACKED_FACTOR if packed else 1)


def _format(file: Opened) -> Format:
    if file.head.startswith(PARQUET):
        return _PARQUET
    if file.head.startswith((ARROW_FILE, ARROW_STREAM)):
        return _ARROW
    if starts_as_json(file.start):
        return _JSON
    if file.suffix in (".parquet", ".arrow"):
        name = FORMATS[file.suffix].name
        raise UserError(f"{file.path} is no readable {name} file; write or download it again", "data")
    if file.suffix in (*_TEXT, *_LINES, ".json") and is_table(file):
        file.notes.append(f"{file.name} is read as a table: its first line names the columns.")
        return FORMATS[".csv"]
    if file.suffix in FORMATS:
        return FORMATS[file.suffix]
    known = ", ".join(FORMATS)
    what = f"{file.suffix} is no known data format" if file.suffix else "its name has no ending"
    raise UserError(f"{file.path.name} can't be read: {what}; use one of {known}", "data")
