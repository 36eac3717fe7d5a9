"""The rows of one file, whatever its format. What is in it wins over its name's ending."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from backend.data.arrow_rows import arrow_rows, parquet_rows
from backend.data.csv_rows import csv_rows
from backend.data.json_rows import json_rows, starts_as_json
from backend.data.plain_rows import plain_rows
from backend.data.row import GOES_ON, TEXT_COLUMN, Value
from backend.data.sniff import ARROW_FILE, ARROW_STREAM, PARQUET, Opened, opened, suffix
from backend.errors import UserError

__all__ = ["FORMATS", "GOES_ON", "TEXT_COLUMN", "Format", "Value", "rows_of", "suffix"]


@dataclass(frozen=True)
class Format:
    """A file format: its name for the user and how to read it."""

    name: str
    rows: Callable[[Opened], Iterator[Value]]


_PARQUET, _ARROW = Format("Parquet", parquet_rows), Format("Arrow", arrow_rows)
_JSON = Format("JSON", json_rows)
FORMATS: dict[str, Format] = {
    ".jsonl": Format("JSONL", json_rows),
    ".ndjson": Format("JSONL", json_rows),
    ".jsonlines": Format("JSONL", json_rows),
    ".json": _JSON,
    ".csv": Format("CSV", csv_rows),
    ".tsv": Format("TSV", csv_rows),
    ".parquet": _PARQUET,
    ".arrow": _ARROW,
    ".txt": Format("text", plain_rows),
    ".md": Format("text", plain_rows),
}
"""By the ending of a name. Within one file its content decides."""


def rows_of(path: Path, notes: list[str] | None = None) -> Iterator[Value]:
    """The file's rows, read as they are asked for. UserError (field `data`) that names the line or the row.

    Sentences about what was chosen within the file are added to `notes`.
    """
    with opened(path) as file:
        yield from _format(file).rows(file)
        if notes is not None:
            notes += file.notes


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
    if file.suffix in FORMATS:
        return FORMATS[file.suffix]
    known = ", ".join(FORMATS)
    what = f"{file.suffix} is no known data format" if file.suffix else "its name has no ending"
    raise UserError(f"{file.path.name} can't be read: {what}; use one of {known}", "data")
