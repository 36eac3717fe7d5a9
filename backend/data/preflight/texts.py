"""The texts of a row that the checks read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from backend.data.constants import constants
from backend.data.conversation import Conversation, Example, Text

T = TypeVar("T")


def said(example: Example) -> str:
    """The document, or all turns but the system prompt, which many rows share."""
    if isinstance(example, Text):
        return example.document
    return "\n".join(x.content for x in example.messages if x.role != "system")


def everything(example: Example) -> str:
    """All texts of the row, with tool calls and tools as they are written."""
    if isinstance(example, Text):
        return example.document
    return "\n".join(_all(example))


def question(example: Example) -> str:
    """The turns before the first answer, letters and spaces made alike; empty for documents, or if nothing is asked."""
    if isinstance(example, Text):
        return ""
    turns = []
    for message in example.messages:
        if message.role == "assistant":
            break
        if message.content.strip():
            turns.append(f"{message.role} {message.content}")
    return " ".join(" ".join(turns).lower().split())


def sample(rows: Sequence[T]) -> Sequence[T]:
    """All rows, or evenly spread ones of many."""
    most = constants().preflight_rows
    return rows if len(rows) <= most else [rows[len(rows) * at // most] for at in range(most)]


def distinct(rows: Iterable[int]) -> list[int]:
    """Each row once, in order: a long document has several pieces, which come from one row."""
    return list(dict.fromkeys(rows))


def among(looked_at: int, rows: int) -> str:
    """`among the 5,000 rows looked at` in a sentence, if not all rows were."""
    return f" among {looked_at:,} of {rows:,} rows that were looked at" if looked_at < rows else ""


def _all(conversation: Conversation) -> Iterator[str]:
    for message in conversation.messages:
        yield message.content
        if message.extra:
            yield str(dict(message.extra))
    if conversation.tools:
        yield str(conversation.tools)
