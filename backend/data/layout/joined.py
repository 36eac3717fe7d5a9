"""Rows that are one turn each: those of a conversation, told by a column of ids, are joined to one row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import groupby
from typing import NamedTuple

from backend.data.layout.head import Head, holds
from backend.data.layout.names import CONVERSATION_IDS, TIMES, TURN_NUMBERS, by_names
from backend.data.row import Value
from backend.data.turns.cells import CONTENTS, SPEAKERS
from backend.errors import UserError


class Joined(NamedTuple):
    """The columns of rows that are one turn each."""

    by: str
    """The conversation's id."""
    speaker: str
    content: str
    order: str
    """The turn's number in its conversation, or its time; empty if there is none, and rows are in order."""


def joined_of(head: Head, roles: Mapping[str, str]) -> Joined | None:
    """The columns, if each row is one turn. UserError (field `data`) if no column says of which conversation."""
    speaker = by_names(head.of_shape("text"), SPEAKERS)
    content = by_names(head.of_shape("text"), CONTENTS)
    if speaker is None or content is None:
        return None
    known = [str(x).strip().lower() in roles for x in head[speaker].values]
    if not known or sum(known) < 0.9 * len(known):
        return None
    by = next((x for x in _in_order(head.columns, CONVERSATION_IDS) if _repeats(head, x)), None)
    if by is None:
        what = f"each row holds one turn ({speaker}, {content}) and no column says which turns belong together"
        raise UserError(f"{what}; add a column conversation_id, or write each conversation's turns as one list", "data")
    order = by_names(head.of_shape("number"), TURN_NUMBERS) or by_names(_times(head), TIMES) or ""
    return Joined(by, speaker, content, order if order != by else "")


def join_turns(rows: Iterable[Value], joined: Joined) -> Iterator[tuple[int, Value]]:
    """Each conversation as one row whose content is the list of its turns, with the number of its first row.

    Rows of a conversation must follow each other: UserError (field `data`) if one comes back later.
    """
    seen: set[object] = set()
    for key, group in groupby(enumerate(rows, 1), lambda item: str(item[1].get(joined.by))):
        turns = list(group)
        number, first = turns[0]
        if not holds(first.get(joined.by)):
            what = f"row {number} has nothing in {joined.by!r}, which says to which conversation a turn belongs"
            raise UserError(f"{what}; fill it, or remove that row", "data")
        if key in seen:
            what = f"row {number} goes on with the conversation {key!r} after rows of another one"
            raise UserError(f"{what}; sort the rows by {joined.by!r}", "data")
        seen.add(key)
        yield number, _as_row(_in_turn(turns, joined.order), joined)


def _in_turn(turns: Sequence[tuple[int, Value]], order: str) -> list[Value]:
    """Rows by the number of their turn, if there is one. UserError (field `data`) that names a row without it.

    Rows of which one has no time stay as they are.
    """
    if order.lower() in TIMES and any(_as_number(row.get(order)) is None for _, row in turns):
        order = ""
    return [row for _, row in (sorted(turns, key=lambda turn: _number(turn, order)) if order else turns)]


def _number(turn: tuple[int, Value], order: str) -> float:
    at, row = turn
    number = _as_number(row.get(order))
    if number is not None:
        return number
    what = f"row {at} has {row.get(order)!r} in {order!r}, which numbers the turns of a conversation"
    raise UserError(f"{what}; write the turn's number there", "data")


def _as_number(value: object) -> float | None:
    """A number, or the seconds of a time as ISO 8601 writes it; None if it is neither."""
    said = str(value).strip()
    with suppress(ValueError):
        number = float(said)
        return number if number == number else None
    with suppress(ValueError, OverflowError, OSError):
        time = datetime.fromisoformat(said)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    return None


def _times(head: Head) -> list[str]:
    """Columns whose every cell is a time."""
    return [x for x in head.columns if x.lower() in TIMES and all(_as_number(y) is not None for y in head[x].cells)]


def _as_row(rows: Sequence[Value], joined: Joined) -> Value:
    left = {joined.speaker, joined.content, joined.by, joined.order}
    turns = [{"role": row.get(joined.speaker), "content": row.get(joined.content)} | _flags(row, left) for row in rows]
    return {**rows[0], joined.content: turns}


def _flags(row: Value, left: set[str]) -> Value:
    return {key: value for key, value in row.items() if key not in left and value is not None}


def _in_order(columns: Sequence[str], names: Sequence[str]) -> list[str]:
    return [column for name in names for column in columns if column.lower().strip() == name]


def _repeats(head: Head, column: str) -> bool:
    values = [str(x) for x in head[column].values]
    return len(set(values)) < len(values)
