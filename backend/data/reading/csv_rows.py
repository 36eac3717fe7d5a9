"""Delimited tables to rows: the delimiter is found, the header is checked."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice

from backend.data.layout.names import ALIASES
from backend.data.reading.sniff import Opened
from backend.data.row import Value

NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
ROWS_TO_TRY = 50
SEPARATOR_LINE = re.compile(r"sep=(.)\n", re.IGNORECASE)
"""The first line by which spreadsheets name the delimiter."""
SPACED_QUOTE = re.compile(' +"')
"""The beginning of a field that is quoted after spaces."""
MARKDOWN_LINE = re.compile(r"\|(\s*:?-+:?\s*\|)+")
"""What stands below the header of a Markdown table."""
NUMBER = re.compile(r"[-+]?\d[\d.,]*")
USUAL = frozenset(alias for aliases in ALIASES.values() for alias in aliases)
LONGEST_NAME = 60
NAME = re.compile(r"[A-Za-z][\w.-]*", re.ASCII)
"""A name of a column, rather than a text."""
SENTENCE_END = re.compile(r"[.!?](?= |$)|[。？！]")


def is_table(file: Opened) -> bool:
    """The first line names columns that are usual, and those below it have as many fields."""
    text = _head(file)
    delimiter = _delimiter(file, text)
    names = text.partition("\n")[0].split(delimiter)
    usual = USUAL.intersection(name.strip().strip('"').lower() for name in names)
    return len(usual) > 1 and "\n" in text.strip() and _width(text, delimiter) == len(names)


def csv_rows(file: Opened) -> Iterator[Value]:
    """Delimited by commas, semicolons, tabs or pipes, with a header line. UserError that names the line."""
    csv.field_size_limit(2**31 - 1)
    lines = file.text_lines()
    start = "".join(islice(lines, 1))
    said = SEPARATOR_LINE.fullmatch(start)
    head = "" if said else start
    delimiter = said.group(1) if said else _delimiter(file, _head(file))
    text = _head(file).partition("\n")[2] if said else _head(file)
    skips = _has_spaces_before_quotes(text, delimiter)
    reader = csv.reader(_with(head, lines), delimiter=delimiter, strict=True, skipinitialspace=skips)
    rows = _cells(reader) if delimiter == "|" and _is_markdown(text) else reader
    skipped = 1 if said else 0
    try:
        names = next(rows, [])
        header = _header(file, names, delimiter)
        if not said:
            _refuse_other_delimiter(file, delimiter, names)
        for fields in rows:
            if len(fields) > len(header) and not any(fields[len(header) :]):
                fields = fields[: len(header)]  # empty columns at the right, which spreadsheets write
            if len(fields) != len(header):
                if not fields:
                    continue
                where = f"line {reader.line_num + skipped}"
                what = f"{where}: the row has {len(fields)} fields where the header has {len(header)}"
                raise file.refuse(f"{what}; {_fix(delimiter, len(header))}")
            if fields == names:
                _note_once(
                    file,
                    f"Line {reader.line_num + skipped} of {file.name} repeats the header: such lines are left out.",
                )
                continue
            if delimiter == "\t" and any(map(_swallows, fields)):
                end = f"The row that ends at line {reader.line_num + skipped} of {file.name}"
                _note_once(file, f"{end} holds lines with tabs in one field: a quote before it opens that field.")
            yield dict(zip(header, fields, strict=True))
    except csv.Error as error:
        raise file.refuse(
            f"line {reader.line_num + skipped}: {error}; fix the quotes there, which within a field are written twice"
        ) from None


def _has_spaces_before_quotes(text: str, delimiter: str) -> bool:
    """Most rows have spaces between a delimiter and the quote that opens a field, as in `"a", "b"`."""
    header, *rows = list(islice(csv.reader(io.StringIO(text), delimiter=delimiter), ROWS_TO_TRY)) or [[]]
    spaced = [fields for fields in rows if any(SPACED_QUOTE.match(field) for field in fields)]
    if not spaced or 2 * len(spaced) < len(rows):
        return False
    read: list[list[str]] = []
    with suppress(csv.Error):  # also a quoted field that the head cuts off
        again = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True, skipinitialspace=True)
        read.extend(islice(again, ROWS_TO_TRY))
    return len(read) > 1 and all(len(fields) == len(header) for fields in read if fields)


def _is_markdown(text: str) -> bool:
    """A table between pipes, with a line of dashes below its header."""
    lines = text.split("\n", 2)
    return len(lines) > 1 and lines[0].startswith("|") and MARKDOWN_LINE.fullmatch(lines[1].strip()) is not None


def _cells(rows: Iterable[list[str]]) -> Iterator[list[str]]:
    """The rows of a Markdown table without the outer pipes, the spaces around cells and the line of dashes."""
    for number, fields in enumerate(rows):
        if number != 1:
            yield [field.strip() for field in fields[1:-1]]


def _note_once(file: Opened, text: str) -> None:
    """Add a note unless the same one exists for another line."""
    words = text.split(" of ", 1)[1]
    if not any(note.endswith(words) for note in file.notes):
        file.notes.append(text)


def _swallows(field: str) -> bool:
    """Whether one field holds lines with tabs, as if a quote had been opened by mistake."""
    return "\n" in field and any("\t" in line for line in field.split("\n"))


def _fix(delimiter: str, columns: int) -> str:
    """What makes a row have as many fields as the header."""
    fix = f"put fields that hold a {NAMES.get(delimiter, delimiter)} or a line break in double quotes"
    return f"remove the lines above the header, or {fix}" if columns == 1 else fix


def _refuse_other_delimiter(file: Opened, delimiter: str, names: list[str]) -> None:
    """UserError if the header is divided by another mark than the rows: their fields would be mixed up."""
    text = _head(file).partition("\n")[2]
    if _width(text, delimiter) == len(names):
        return
    other = next((x for x in NAMES if x != delimiter and len(names) > 1 and _width(text, x) == len(names)), None)
    if other:
        what = f"line 1 is divided by {NAMES.get(delimiter, delimiter)}s and the lines below it by {NAMES[other]}s"
        raise file.refuse(f"{what}; divide line 1 by {NAMES[other]}s too")


def _with(first: str, rest: Iterator[str]) -> Iterator[str]:
    if first:
        yield first
    yield from rest


def _head(file: Opened) -> str:
    """The first whole lines as text; what is not UTF-8 is found when the line is read."""
    text = file.start.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    return text if len(file.start) < 4096 else text.rpartition("\n")[0] or text


def _delimiter(file: Opened, text: str) -> str:
    """The mark that gives the first rows as many fields as the header has; else the header's most frequent one."""
    header = text.split("\n", 1)[0]
    marks = [mark for mark in ("\t,;|" if file.suffix == ".tsv" else ",;\t|") if mark in header]
    even = {mark: width for mark in marks if (width := _width(text, mark)) > 1}
    if even:
        return max(even, key=lambda mark: even[mark])
    return max(marks, key=header.count) if marks else ","


def _width(text: str, mark: str) -> int:
    """Fields in each of the first rows; 0 if they differ."""
    widths = set()
    try:
        for fields in islice(csv.reader(io.StringIO(text), delimiter=mark, strict=True), ROWS_TO_TRY):
            if fields:
                widths.add(len(fields))
    except csv.Error:  # also a quoted field that the head cuts off
        pass
    return widths.pop() if len(widths) == 1 else 0


def _header(file: Opened, names: list[str], delimiter: str) -> list[str]:
    header = [name.strip() for name in names]
    while len(header) > 1 and not header[-1]:  # empty columns at the right, which spreadsheets write
        header.pop()
    usual = not USUAL.isdisjoint(name.lower() for name in header)
    cell = None if usual else next(filter(_is_cell, header), None) or _value_below(_head(file), header, delimiter)
    if cell is not None:
        example = (
            ",".join(("prompt", "completion", "more")[: len(header)]) if len(header) < 4 else "prompt,completion,..."
        )
        what = f"line 1 is a row ({cell[:40]!r}), not a header"
        raise file.refuse(f"{what}; put a line above it that names the columns, such as {example}")
    if len(header) == 1 and len(USUAL.intersection(re.split(r"\W+", header[0].lower()))) > 1:
        what = f"line 1 names several columns in one ({header[0][:40]!r})"
        raise file.refuse(f"{what}; divide the lines by commas, semicolons, tabs or pipes")
    if len(header) == 1 and not usual and _looks_like(header[0], _values_below(_head(file), delimiter)):
        what = f"line 1 ({header[0][:40]!r}) looks like a row and not like the name of the only column"
        raise file.refuse(f"{what}; put a line above it that says text, or name the column so")
    unnamed = header.index("") + 1 if "" in header else 0
    if unnamed == 1 and len(header) > 1:  # what pandas writes for its index
        header[0] = "index"
        unnamed = header.index("") + 1 if "" in header else 0
    if unnamed:
        raise file.refuse(f"line 1: column {unnamed} has no name; name it in the header")
    twice = next((name for name in header if header.count(name) > 1), None)
    if twice:
        raise file.refuse(f"line 1: two columns are named {twice!r}; rename one")
    if not usual:
        file.notes.append(f"Line 1 of {file.name} is taken as the names of the columns ({', '.join(header[:6])}).")
    return header


def _value_below(text: str, header: list[str], delimiter: str) -> str | None:
    """A name in line 1 that is also a value of its column (in no repeated header): then line 1 is a row, no header."""
    try:
        for fields in islice(csv.reader(io.StringIO(text), delimiter=delimiter, strict=True), 1, ROWS_TO_TRY):
            if fields != header and (same := [x for x, y in zip(fields, header, strict=False) if x and x == y]):
                return same[0]
    except csv.Error:  # also a quoted field that the head cuts off
        pass
    return None


def _values_below(text: str, delimiter: str) -> list[str]:
    """The first values of the only column; none if rows have several."""
    try:
        rows = list(islice(csv.reader(io.StringIO(text), delimiter=delimiter, strict=True), 1, ROWS_TO_TRY))
        return [fields[0].strip() for fields in rows if fields] if max(map(len, rows), default=0) == 1 else []
    except csv.Error:  # also a quoted field that the head cuts off
        return []


def _looks_like(name: str, values: list[str]) -> bool:
    """The name of a column is as long and has as many words as the values below it."""
    if not values:
        return False
    if NAME.fullmatch(name):
        return 2 * sum(" " in value or not value.isascii() for value in values) <= len(values)
    median = sorted(map(len, values))[len(values) // 2]
    return len(name) * 2 > median or name.count(" ") > 2


def _is_cell(name: str) -> bool:
    """A number, a sentence or a long text."""
    if NUMBER.fullmatch(name) or len(name) > LONGEST_NAME:
        return True
    return name.count(" ") > 1 and SENTENCE_END.search(name) is not None
