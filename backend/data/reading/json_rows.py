"""JSON files to rows, by what is in them: lines, an array, a table of columns, or one object around a list."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import msgspec

from backend.data.layout.names import ALIASES, LOSERS, WINNERS
from backend.data.reading.json_values import Numbered, begins_with_value, line_values, loads, stream_values
from backend.data.reading.sniff import Opened
from backend.data.row import TEXT_COLUMN, Value, kind_of
from backend.data.split_names import training_key
from backend.data.turns.cells import SPEAKERS, speaker_key
from backend.errors import UserError

WRAPPERS = ("data", "rows", "examples", "items", "records", "instances", "samples", "train")
"""Usual names of the list of rows within one object."""

PARTS = frozenset({*WINNERS, *LOSERS, *(alias for aliases in ALIASES.values() for alias in aliases)})
"""Names of columns: an object with one of them is a row, not a table of rows."""
SPOKEN = frozenset({*SPEAKERS, "human", "user", "gpt", "bot", "assistant"})
"""Keys of a turn; an object without them is a row of its own."""


def json_rows(file: Opened) -> Iterator[Value]:
    """The rows of a JSON file of any layout. UserError that names the line of what can't be read."""
    is_lines = _is_lines(file.start)
    values = line_values(file) if is_lines else stream_values(file)
    first = next(values, None)
    if first is None:
        raise file.refuse("holds no rows; choose a file that does")
    second = next(values, None)
    if second is None and isinstance(first[1], dict) and not file.start.startswith(b"["):
        yield from _table(file, first[1])
        return
    together = chain([first], [second] if second else [], values)
    yield from _numbered(file, together, is_lines)


def starts_as_json(start: bytes) -> bool:
    """The text begins with an object, or as an array of them."""
    opening = start[:200].translate(None, b" \t\r\n")
    if opening.startswith((b'[{"', b'[[{"')):
        return True
    return opening.startswith((b'{"', b"{}")) and (begins_with_value(start) or b"\n" in start.strip())


def _is_lines(start: bytes) -> bool:
    """Each line is a value of its own."""
    line, rest = (x.strip() for x in (*start.split(b"\n", 1), b"")[:2])
    if line.startswith(b"["):  # an array, unless a second list follows the first on a line of its own
        return rest.startswith(b"[") and _decodes(line)
    return not line.startswith(b"{") or _decodes(line.removesuffix(b",")) or not rest


def _decodes(line: bytes) -> bool:
    try:
        msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeError):
        try:
            loads(line.decode("utf-8"))
        except (ValueError, RecursionError):
            return False
    except RecursionError:
        return False
    return True


def _numbered(file: Opened, values: Iterable[Numbered], is_lines: bool = False) -> Iterator[Value]:
    """Each value as a row. In a file of lines, a list of objects that are not turns is several rows, with a note."""
    is_said = False
    for line, value in values:
        if isinstance(value, dict):
            yield value
        elif is_lines and _are_rows(value):
            if not is_said:
                text = f"Line {line} of {file.name} is a list whose {len(value):,} objects are read as a row each"
                file.notes.append(f"{text}; write turns with role and content if they are one conversation.")
            is_said = True
            yield from value
        else:
            yield _row_of(file, line, value)


def _are_rows(value: Any) -> bool:
    """Whether it is a list of objects, none of which is a turn: several files of rows were put into one."""
    return isinstance(value, list) and bool(value) and all(isinstance(x, dict) and SPOKEN.isdisjoint(x) for x in value)


def _row_of(file: Opened, line: int, value: Any) -> Value:
    """The row of a value that is not an object: an encoded object, a text, or a list of turns."""
    if isinstance(value, str):
        inner = _encoded(value)
        return {TEXT_COLUMN: value} if inner is None else inner
    if isinstance(value, list) and value and all(isinstance(x, dict) for x in value):
        return {"messages": value}
    raise file.refuse(f"line {line}: an object in braces was expected, not {kind_of(value)}; fix or remove it")


def _encoded(text: str) -> Value | None:
    """The object that a text encodes (a row that was encoded twice)."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        value = loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _table(file: Opened, value: Value) -> Iterator[Value]:
    """The rows within one object."""
    rows = _columns(value) or _by_index(value) or _by_id(value) or _wrapped(file, value)
    if rows is None:
        if file.suffix == ".json" and not _is_row(value):
            keys = ", ".join(list(value)[:6])
            what = f"is one object ({keys}) without a list of rows; make it an array of rows"
            raise UserError(f"{file.name} {what}", "data")
        rows = [value]
    yield from _numbered(file, enumerate(rows, 1))


def _columns(value: Value) -> list[Any] | None:
    """{column: [cells]}, or the columns and data that pandas writes with `orient="split"`."""
    if isinstance(value.get("columns"), list) and isinstance(value.get("data"), list):
        names, data = value["columns"], value["data"]
        if all(isinstance(x, list) and len(x) == len(names) for x in data):
            return [dict(zip(names, x, strict=True)) for x in data]
    if not all(isinstance(x, list) for x in value.values()) or _is_row(value) or len(value) < 2:
        return None
    if len({len(x) for x in value.values()}) != 1 or _splits(value):
        return None
    return [dict(zip(value, cells, strict=True)) for cells in zip(*value.values(), strict=True)]


def _by_index(value: Value) -> list[Any] | None:
    """{column: {row number: cell}}, as pandas writes a table by itself."""
    cells = list(value.values())
    if not cells or not all(isinstance(x, dict) and x and all(k.isdecimal() for k in x) for x in cells):
        return None
    rows = dict.fromkeys(number for column in cells for number in column)
    return [{name: column.get(number) for name, column in value.items()} for number in rows]


def _by_id(value: Value) -> list[Any] | None:
    """{identifier: row}: objects that have a key in common, or conversations."""
    rows = list(value.values())
    if len(rows) > 1 and PARTS.isdisjoint(key.lower() for key in value) and all(map(_are_turns, rows)):
        return rows
    if len(rows) < 2 or not all(isinstance(x, dict) and x for x in rows):
        return None
    return rows if set(rows[0]).intersection(*rows[1:]) else None


def _are_turns(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(x, dict) and speaker_key(x) for x in value)


def _wrapped(file: Opened, value: Value) -> list[Any] | None:
    """One object around the list of rows, or around several splits of which the training one is taken."""
    if _is_row(value):
        return None
    lists = {key: item for key, item in value.items() if isinstance(item, list)}
    tables = {key: item for key, item in lists.items() if item and all(isinstance(x, dict) for x in item)}
    usual = [key for key in WRAPPERS if key in tables]
    key = training_key(list(tables)) or (next(iter(tables)) if len(tables) == 1 else next(iter(usual), None))
    if key is not None:
        left = ", ".join(repr(name) for name in tables if name != key)
        if left:
            file.notes.append(f"Of {file.name}, the rows under {key!r} are used; those under {left} are left out.")
        return [_unwrapped(x) for x in tables[key]]
    if len(lists) == len(value) == 1:
        (name,) = lists
        return [x if isinstance(x, dict | str) else {name: x} for x in lists[name]]
    return None


def _unwrapped(row: Value) -> Value:
    """The row within what the hub's row service puts around it."""
    inner = row.get("row")
    return inner if isinstance(inner, dict) and "row_idx" in row else row


def _splits(value: Value) -> bool:
    return training_key(list(value)) is not None


def _is_row(value: Value) -> bool:
    """A single conversation stands alone in the file."""
    turns = [x for x in value.values() if isinstance(x, list) and x and isinstance(x[0], dict)]
    return any("role" in x[0] or "from" in x[0] for x in turns)
