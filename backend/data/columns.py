"""Which column plays which part: found from names and first rows, changed by `role=column`."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from backend.data.readers import Value
from backend.errors import UserError

Kind = Literal["alpaca", "sharegpt", "messages", "prompt-completion", "text"]
ROLES = ("messages", "prompt", "input", "completion", "system", "history", "tools", "text")
ALIASES: dict[str, tuple[str, ...]] = {
    "prompt": ("instruction", "prompt", "question", "query", "problem", "user", "human", "request", "inputs", "input"),
    "completion": (
        *("output", "completion", "response", "answer", "assistant", "solution", "target", "targets", "reply"),
        *("chosen", "outputs", "answers", "summary", "label"),
    ),
    "system": ("system", "system_prompt"),
    "history": ("history",),
    "tools": ("tools", "functions"),
    "input": ("input", "context"),
    "text": ("text", "content", "document", "body", "passage"),
    "messages": ("messages", "conversations", "conversation", "dialogue", "dialog", "chat", "turns", "chosen"),
}
ROWS_TO_LOOK_AT = 50


@dataclass(frozen=True)
class Layout:
    """How rows are read."""

    kind: Kind
    mapping: dict[str, str]
    """role -> column."""


def layout(rows: Sequence[Value], columns: Sequence[str], mapping: Sequence[str] = ()) -> Layout:
    """The rows' layout, found or as said. UserError where it can't be told (field `data`) or is wrong (`mapping`)."""
    said = _said(mapping, columns)
    head = rows[:ROWS_TO_LOOK_AT]
    found = _found(head, columns, said)
    if found is None:
        listed = ", ".join(columns[:8])
        what = f"no prompt and answer, messages or text was found among the columns ({listed})"
        say = " ".join(f"--mapping {role}={column}" for role, column in _example(columns, said).items())
        raise UserError(f"{what}; say which is which: {say}", "mapping" if said else "data")
    return found


def _example(columns: Sequence[str], said: dict[str, str]) -> dict[str, str]:
    """A whole mapping that could be meant, what was said in it."""
    free = [column for column in columns if column not in said.values()]
    needed = [role for role in ("prompt", "completion") if role not in said]
    if len(free) < len(needed):
        return {"text": columns[0]}
    return said | dict(zip(needed, free, strict=False))


def is_turns(value: Any, key: str) -> bool:
    """A list of turns whose speaker stands under `key` (`role` or `from`)."""
    return isinstance(value, list) and bool(value) and all(isinstance(x, dict) and key in x for x in value)


def _said(mapping: Sequence[str], columns: Sequence[str]) -> dict[str, str]:
    said: dict[str, str] = {}
    for entry in mapping:
        role, equals, column = (part.strip() for part in entry.partition("="))
        if not equals or not role or not column:
            raise UserError(f"{entry!r} is no mapping; write role=column, such as prompt={columns[0]}", "mapping")
        if role not in ROLES:
            raise UserError(f"{role!r} is no role{_near(role, ROLES)}; roles are {', '.join(ROLES)}", "mapping")
        if column not in columns:
            listed = ", ".join(columns[:12])
            raise UserError(f"the data has no column {column!r}{_near(column, columns)}; it has {listed}", "mapping")
        said[role] = column
    return said


def _near(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _found(head: Sequence[Value], columns: Sequence[str], said: dict[str, str]) -> Layout | None:
    if "text" in said:
        return Layout("text", said)
    if "messages" in said:
        return _conversations(head, said["messages"], columns, said)
    if not {"prompt", "completion", "input"} & said.keys():
        for column in _ordered(columns, "messages"):
            if (turns := _conversations(head, column, columns, said)) is not None:
                return turns
    return _pair(columns, said) or _plain(head, columns, said)


def _conversations(head: Sequence[Value], column: str, columns: Sequence[str], said: dict[str, str]) -> Layout | None:
    value = next((row[column] for row in head if row.get(column)), None)
    kind: Kind | None = "messages" if is_turns(value, "role") else "sharegpt" if is_turns(value, "from") else None
    if kind is None:
        if "messages" in said:
            what = f"column {column!r} holds no turns with role and content (or from and value)"
            raise UserError(f"{what}; map messages to another column", "mapping")
        return None
    if "messages" not in said and not _is_whole(value, column, columns):
        return None
    return Layout(kind, {"messages": column} | _optional(columns, ("system", "tools"), said))


def _is_whole(turns: Any, column: str, columns: Sequence[str]) -> bool:
    """Question and answer stand in this one column; not the prompt's or the completion's part of a pair."""
    if column == _named(columns, "prompt") and _named(columns, "completion"):
        return False
    asks = [str(x.get("role", x.get("from"))).lower() in ("user", "human", "prompter", "system") for x in turns]
    return any(asks) and not all(asks)


def _pair(columns: Sequence[str], said: dict[str, str]) -> Layout | None:
    free = [column for column in columns if column not in said.values()]
    prompt = said.get("prompt") or _named(free, "prompt")
    completion = said.get("completion") or _named([x for x in free if x != prompt], "completion")
    if prompt is None or completion is None:
        return None
    mapping = {"prompt": prompt, "completion": completion}
    rest = [column for column in free if column not in mapping.values()]
    if prompt.lower() == "instruction" or "input" in said:
        mapping |= _optional(rest, ("input",), said)
    mapping |= _optional(rest, ("system", "history", "tools"), said)
    alpaca = prompt.lower() == "instruction" and completion.lower() == "output"
    return Layout("alpaca" if alpaca else "prompt-completion", mapping)


def _plain(head: Sequence[Value], columns: Sequence[str], said: dict[str, str]) -> Layout | None:
    texts = [x for x in columns if any(isinstance(row.get(x), str) for row in head)]
    column = _named(texts, "text") or (texts[0] if len(texts) == len(columns) == 1 else None)
    return Layout("text", {"text": column}) if column and not said else None


def _optional(columns: Sequence[str], roles: Sequence[str], said: dict[str, str]) -> dict[str, str]:
    chosen = {role: said.get(role) or _named(columns, role) for role in roles}
    return {role: column for role, column in chosen.items() if column}


def _named(columns: Sequence[str], role: str) -> str | None:
    """The column whose name is usual for this role, in the aliases' order."""
    by_name = {column.lower().strip(): column for column in reversed(columns)}
    return next((by_name[alias] for alias in ALIASES[role] if alias in by_name), None)


def _ordered(columns: Sequence[str], role: str) -> list[str]:
    usual = [column for alias in ALIASES[role] for column in columns if column.lower() == alias]
    return usual + [column for column in columns if column not in usual]
