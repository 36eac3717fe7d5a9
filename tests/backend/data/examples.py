"""Turns rows into examples in one call, for the tests of formats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from backend.data.conversation import Conversation, Message
from backend.data.finding import Finding
from backend.data.formats import Examples, examples_of
from backend.data.reading.load import Source

USER, BOT = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}
HUMAN, GPT = {"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}
Q, A = Message("user", "q"), Message("assistant", "a", scored=True)


def read(*rows: dict[str, Any], mapping: tuple[str, ...] = ()) -> Examples:
    """The examples of these rows."""
    return examples_of(Source("rows.jsonl", list(rows), (Path("rows.jsonl"),)), mapping)


def turns(*rows: dict[str, Any], mapping: tuple[str, ...] = ()) -> tuple[Message, ...]:
    """The messages of the first example."""
    example = read(*rows, mapping=mapping).examples[0]
    assert isinstance(example, Conversation)
    return example.messages


def found(examples: Examples, kind: str) -> Finding:
    """The one finding of this kind."""
    (finding,) = [x for x in examples.findings if x.kind == kind]
    return finding


def kinds(examples: Examples) -> list[str]:
    """Kinds of all findings."""
    return [x.kind for x in examples.findings]
