"""Rows to examples: Alpaca, ShareGPT, OpenAI messages, prompt and completion, plain text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from backend.data.columns import Layout, is_turns, layout
from backend.data.conversation import Conversation, Example, Message, Text
from backend.data.load import Source
from backend.data.passages import divided
from backend.data.readers import GOES_ON, Value
from backend.data.turns import message, text_of, tools_of
from backend.errors import UserError


@dataclass(frozen=True)
class Examples:
    """The examples of a source, in order: in memory if the rows are, else built anew each time."""

    layout: Layout
    source: Source
    built: list[Example | int] | None = None

    def __iter__(self) -> Iterator[Example | int]:
        """Every example; for a row without an answer (or any text) its number, counted from 0.

        A long document is several examples. UserError that names the row and the key if one can't be read.
        """
        return _built(self.source, self.layout) if self.built is None else iter(self.built)

    @cached_property
    def examples(self) -> list[Example]:
        """All of them in memory; those of a large source do not fit."""
        return [example for example in self if not isinstance(example, int)]

    @property
    def empty(self) -> int:
        """Rows without an answer (or any text), left out."""
        return sum(isinstance(example, int) for example in self)


def examples_of(source: Source, mapping: Sequence[str] = ()) -> Examples:
    """The source's rows as examples. UserError that names the row and the key if one can't be read."""
    found = layout(source.rows, source.columns, mapping)
    examples = Examples(found, source, list(_built(source, found)) if source.is_kept else None)
    if all(isinstance(example, int) for example in examples):
        columns = ", ".join(found.mapping.values())
        count = f"{len(source.rows):,}"
        raise UserError(f"all {count} rows of {source.reference} are empty in {columns}; map others", "data")
    return examples


def _built(source: Source, found: Layout) -> Iterator[Example | int]:
    build = BUILDERS[found.kind]
    for number, row in enumerate(source.rows, 1):
        example = build(row, number, found.mapping)
        if example is None:
            yield number - 1
        elif isinstance(example, Text):
            yield from divided(example)
        else:
            yield example


def _pair(row: Value, number: int, mapping: Mapping[str, str]) -> Example | None:
    """Alpaca, and prompt with completion: texts, or lists of turns."""
    prompt = _cell(row, mapping["prompt"], number)
    completion = _cell(row, mapping["completion"], number)
    answer = _turns(completion, number, mapping["completion"], "assistant")
    if isinstance(prompt, list) and isinstance(completion, list) and completion[: len(prompt)] == prompt:
        answer = answer[len(prompt) :]  # preference data repeats the prompt in `chosen`
    asked = _turns(prompt, number, mapping["prompt"], "user")
    if "input" in mapping and asked and (context := _text(row, "input", number, mapping).strip()):
        asked[-1] = asked[-1]._replace(content="\n".join(x for x in (asked[-1].content, context) if x))
    if not any(x.content.strip() for x in asked):
        return None
    before = [*_system(row, number, mapping), *_history(row, number, mapping)]
    asked = [x._replace(scored=False) if x.scored else x for x in asked]
    return _conversation([*before, *asked, *answer], row, number, mapping)


def _messages(row: Value, number: int, mapping: Mapping[str, str]) -> Example | None:
    """OpenAI messages and ShareGPT: a list of turns."""
    column = mapping["messages"]
    turns = _cell(row, column, number)
    if turns is None or turns == []:
        return None
    if not isinstance(turns, list):
        raise UserError(f"row {number}: {column!r} holds no list of turns", "data")
    messages = [message(turn, f"row {number}, turn {at}") for at, turn in enumerate(turns, 1)]
    if messages[0].role != "system":
        messages = [*_system(row, number, mapping), *messages]
    return _conversation(messages, row, number, mapping)


def _document(row: Value, number: int, mapping: Mapping[str, str]) -> Example | None:
    """Plain text."""
    text = text_of(_cell(row, mapping["text"], number), f"row {number}: {mapping['text']!r}")
    return Text(text, number, GOES_ON not in row) if text.strip() else None


BUILDERS: dict[str, Callable[[Value, int, Mapping[str, str]], Example | None]] = {
    "alpaca": _pair,
    "prompt-completion": _pair,
    "messages": _messages,
    "sharegpt": _messages,
    "text": _document,
}


def _conversation(messages: list[Message], row: Value, number: int, mapping: Mapping[str, str]) -> Conversation | None:
    """Turns up to the last scored one that says anything; None where no turn is scored."""
    last = len(messages)
    while last and not _says(messages[last - 1]):
        last -= 1
    if not last:
        return None
    tools = tools_of(row.get(mapping["tools"]), f"row {number}") if "tools" in mapping else ()
    return Conversation(tuple(messages[:last]), tools, number)


def _says(message: Message) -> bool:
    return message.scored and bool(message.content.strip() or message.extra.get("tool_calls"))


def _cell(row: Value, column: str, number: int) -> Any:
    try:
        return row[column]
    except KeyError:
        has = ", ".join(str(key) for key in row) or "nothing"
        raise UserError(f"row {number} has no {column!r} (it has {has}); mend or remove that row", "data") from None


def _text(row: Value, role: str, number: int, mapping: Mapping[str, str]) -> str:
    return text_of(row.get(mapping[role]), f"row {number}: {mapping[role]!r}") if role in mapping else ""


def _turns(value: Any, number: int, column: str, role: str) -> list[Message]:
    if isinstance(value, str):
        return [Message(role, value, role == "assistant")]
    if is_turns(value, "role") or is_turns(value, "from"):
        return [message(turn, f"row {number}, {column!r} turn {at}") for at, turn in enumerate(value, 1)]
    return [Message(role, text_of(value, f"row {number}: {column!r}"), role == "assistant")]


def _system(row: Value, number: int, mapping: Mapping[str, str]) -> list[Message]:
    text = _text(row, "system", number, mapping) if "system" in mapping else ""
    return [Message("system", text)] if text.strip() else []


def _history(row: Value, number: int, mapping: Mapping[str, str]) -> list[Message]:
    """Alpaca's earlier turns: a list of [question, answer]."""
    if "history" not in mapping:
        return []
    value = row.get(mapping["history"])
    turns: list[Message] = []
    for at, pair in enumerate(value or [], 1):
        where = f"row {number}, {mapping['history']!r} entry {at}"
        if not isinstance(pair, list) or len(pair) != 2:
            raise UserError(f"{where} is no pair of question and answer", "data")
        turns += [Message("user", text_of(pair[0], where)), Message("assistant", text_of(pair[1], where), True)]
    return turns
