"""One function a file format: a file to its rows. Every fault is a UserError that names the line or the row."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import msgspec

from backend.data.sniff import read_text
from backend.errors import UserError

_DECODER = msgspec.json.Decoder()

Value = dict[str, Any]
TEXT_COLUMN = "text"
GOES_ON = "\0goes on"
"""Marks a passage whose document continues in the next row (no column can have this name in a text file)."""


@dataclass(frozen=True)
class Format:
    """A file format: its name for the user and how to read it."""

    name: str
    read: Callable[[Path], list[Value]]


def read_jsonl(path: Path) -> list[Value]:
    """One JSON object a line; blank lines are passed over."""
    return _lines(path, read_text(path))


def read_json(path: Path) -> list[Value]:
    """An array of objects, an object of columns, an object that holds one list, or lines of objects after all."""
    text = read_text(path)
    try:
        value = _loads(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" and text.lstrip().startswith("{"):
            return _lines(path, text)
        raise UserError(f"{path.name} line {error.lineno}: {_reason(error)}; mend the file there", "data") from None
    except RecursionError:
        raise UserError(f"{path.name} is nested too deeply to be a table of rows", "data") from None
    return _rows_of(path, value)


def read_csv(path: Path) -> list[Value]:
    """Comma-separated with a header line; semicolons or tabs where the header holds those instead."""
    text = read_text(path)
    header = text.split("\n", 1)[0]
    return _table(path, text, next((mark for mark in ",;\t" if mark in header), ","))


def read_tsv(path: Path) -> list[Value]:
    """Tab-separated with a header line."""
    return _table(path, read_text(path), "\t")


def read_parquet(path: Path) -> list[Value]:
    """Apache Parquet, through pyarrow."""
    _check_present(path)
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError):
        raise UserError(f"{path} is no readable Parquet file; write or download it again", "data") from None
    rows: list[Value] = table.to_pylist()
    return rows


def _check_present(path: Path) -> None:
    try:
        size = path.stat().st_size
    except OSError:
        raise UserError(f"{path} does not exist; check the path", "data") from None
    if size == 0:
        raise UserError(f"{path} is empty; choose a file that holds rows", "data")


def read_plain(path: Path) -> list[Value]:
    """Plain text: documents, as passages of a length that trains well (presets/data.toml).

    Without blank lines each line is a document. With them the file is one document, and its paragraphs are
    gathered to passages. A long document is divided at a paragraph, a sentence or a space, never lost.
    """
    from backend.data.constants import constants

    limit = constants().passage_characters
    text = read_text(path)
    paragraphs = [x.strip() for x in re.split(r"\n[ \t]*\n", text.strip())]
    documents = [paragraphs] if len(paragraphs) > 1 else [[line.strip()] for line in text.split("\n")]
    rows: list[Value] = []
    for document in documents:
        passages = _passages([x for x in document if x], limit)
        rows += [{TEXT_COLUMN: x, GOES_ON: True} for x in passages[:-1]]
        rows += [{TEXT_COLUMN: x} for x in passages[-1:]]
    return rows


FORMATS: dict[str, Format] = {
    ".jsonl": Format("JSONL", read_jsonl),
    ".ndjson": Format("JSONL", read_jsonl),
    ".json": Format("JSON", read_json),
    ".csv": Format("CSV", read_csv),
    ".tsv": Format("TSV", read_tsv),
    ".parquet": Format("Parquet", read_parquet),
    ".txt": Format("text", read_plain),
    ".md": Format("text", read_plain),
}


def suffix(path: PurePath) -> str:
    """The name's ending that says the format, in lower case and without a final .gz."""
    name = path.name.lower()
    return PurePath(name.removesuffix(".gz")).suffix


def _value(line: str) -> Any:
    """By msgspec, which is three times as fast; what it does not take (NaN, lone surrogates) by the standard library.

    Raises JSONDecodeError where neither can read it.
    """
    try:
        return _DECODER.decode(line)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return _loads(line)


def _loads(text: str) -> Any:
    """By the standard library. A lone surrogate, which is no letter and which no tokenizer takes, becomes U+FFFD."""
    value = json.loads(text)
    return _with_letters(value) if "\\ud" in text.lower() else value


def _with_letters(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, dict):
        return {_with_letters(key): _with_letters(item) for key, item in value.items()}
    return [_with_letters(item) for item in value] if isinstance(value, list) else value


def _lines(path: Path, text: str) -> list[Value]:
    rows: list[Value] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line or line.isspace():
            continue
        try:
            row = _value(line)
        except json.JSONDecodeError as error:
            raise UserError(f"{path.name} line {number}: {_reason(error)}; mend or remove that line", "data") from None
        if not isinstance(row, dict):
            what = f"{path.name} line {number}: an object in braces was expected, not {_kind(row)}"
            raise UserError(what, "data")
        rows.append(row)
    return rows


def _rows_of(path: Path, value: Any) -> list[Value]:
    if isinstance(value, list):
        return [_row_of(path, number, item) for number, item in enumerate(value, 1)]
    if not isinstance(value, dict):
        raise UserError(f"{path.name} holds {_kind(value)}; an array of rows was expected", "data")
    lists = {key: item for key, item in value.items() if isinstance(item, list)}
    if len(lists) == len(value) > 1 and len({len(item) for item in lists.values()}) == 1:
        return [dict(zip(lists, items, strict=True)) for items in zip(*lists.values(), strict=True)]
    if _is_row(value):
        return [value]
    tables = {key: item for key, item in lists.items() if item and all(isinstance(x, dict) for x in item)}
    if len(tables) == 1:
        return _rows_of(path, next(iter(tables.values())))
    if len(lists) == len(value) == 1:
        return _rows_of(path, [{key: x} for key, items in lists.items() for x in items])
    keys = ", ".join(list(value)[:6])
    raise UserError(f"{path.name} is one object ({keys}) without a list of rows; make it an array of rows", "data")


def _is_row(value: Value) -> bool:
    """A single conversation stands alone in the file."""
    turns = [x for x in value.values() if isinstance(x, list) and x and isinstance(x[0], dict)]
    return any("role" in x[0] or "from" in x[0] for x in turns)


def _row_of(path: Path, number: int, item: Any) -> Value:
    if isinstance(item, dict):
        return item
    if isinstance(item, str):
        return {TEXT_COLUMN: item}
    if isinstance(item, list) and item and all(isinstance(x, dict) for x in item):
        return {"messages": item}
    raise UserError(f"{path.name} row {number}: an object in braces was expected, not {_kind(item)}", "data")


def _table(path: Path, text: str, delimiter: str) -> list[Value]:
    csv.field_size_limit(2**31 - 1)
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    try:
        header = _header(path, next(reader))
        rows = []
        for fields in reader:
            if len(fields) != len(header):
                if not fields:
                    continue
                where = f"{path.name} line {reader.line_num}"
                what = f"{where}: the row has {len(fields)} fields where the header has {len(header)}"
                raise UserError(f"{what}; quote fields that hold a {_named(delimiter)} or a line break", "data")
            rows.append(dict(zip(header, fields, strict=True)))
    except csv.Error as error:
        raise UserError(f"{path.name} line {reader.line_num}: {error}; mend the quotes there", "data") from None
    return rows


def _header(path: Path, names: list[str]) -> list[str]:
    header = [name.strip() for name in names]
    unnamed = header.index("") + 1 if "" in header else 0
    if unnamed == 1 and len(header) > 1:  # what pandas writes for its index
        header[0] = "index"
    elif unnamed:
        raise UserError(f"{path.name} line 1: column {unnamed} has no name; name it in the header", "data")
    twice = next((name for name in header if header.count(name) > 1), None)
    if twice:
        raise UserError(f"{path.name} line 1: two columns are named {twice!r}; rename one", "data")
    return header


def _named(delimiter: str) -> str:
    return {",": "comma", ";": "semicolon", "\t": "tab"}[delimiter]


def _passages(paragraphs: list[str], limit: int) -> list[str]:
    passages: list[str] = []
    current = ""
    for paragraph in paragraphs:
        for piece in _pieces(paragraph, limit):
            if current and len(current) + len(piece) + 2 > limit:
                passages.append(current)
                current = piece
            else:
                current = f"{current}\n\n{piece}" if current else piece
    return [*passages, current] if current else passages


def _pieces(paragraph: str, limit: int) -> list[str]:
    pieces = []
    while len(paragraph) > limit:
        ends = [match.end() for match in re.finditer(r"[.!?。！？]\s|\n", paragraph[limit // 2 : limit])]
        at = limit // 2 + ends[-1] if ends else paragraph.rfind(" ", limit // 2, limit) + 1
        at = at or limit
        pieces.append(paragraph[:at].strip())
        paragraph = paragraph[at:].strip()
    return [*pieces, paragraph] if paragraph else pieces


def _reason(error: json.JSONDecodeError) -> str:
    return f"not valid JSON ({error.msg[0].lower()}{error.msg[1:]} at column {error.colno})"


def _kind(value: Any) -> str:
    names = {str: "a text", bool: "a truth value", int: "a number", float: "a number", list: "a list"}
    return "null" if value is None else names.get(type(value), "an object")
