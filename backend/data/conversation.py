"""What every data format becomes: a conversation whose answers are scored, or a plain text document."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any


@dataclass(frozen=True)
class Message:
    """One turn. `role` is system, user, assistant or tool."""

    role: str
    content: str
    scored: bool = False
    """The model learns to write this turn; only assistant turns ever are."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further fields that chat templates read: tool_calls, tool_call_id, name, reasoning_content."""

    def as_dict(self) -> dict[str, Any]:
        """The turn as chat templates take it."""
        return {"role": self.role, "content": self.content, **self.extra}


@dataclass(frozen=True)
class Conversation:
    """Turns in order, and the tools that they may call (OpenAI's function shape)."""

    messages: tuple[Message, ...]
    tools: tuple[Mapping[str, Any], ...] = ()
    row: int = 0
    """Number of the data's row it comes from, counted from 1."""

    def as_dicts(self) -> list[dict[str, Any]]:
        """The turns as chat templates take them."""
        return [message.as_dict() for message in self.messages]


@dataclass(frozen=True)
class Text:
    """A document: every token of it is scored."""

    document: str
    row: int = 0
    """Number of the data's row it comes from, counted from 1."""
    ends: bool = True
    """An end-of-text token follows; False for a passage whose document goes on in the next row."""


Example = Conversation | Text


def digest(example: Example) -> bytes:
    """16 bytes that are equal for examples of the same content, whatever row they stand in."""
    if isinstance(example, Text):
        content = "t" + example.document
    else:
        parts = [f"{m.role}\x1f{m.content}\x1f{m.scored:d}\x1f{_json(m.extra)}" for m in example.messages]
        content = "c" + "\x1e".join(parts) + (_json(example.tools) if example.tools else "")
    return blake2b(content.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def answer_of(example: Example) -> str:
    """The last scored turn's text (with its tool calls), or the document."""
    if isinstance(example, Text):
        return example.document
    for message in reversed(example.messages):
        if message.scored:
            return message.content or _json(message.extra)
    return ""


def byte_count(example: Example) -> int:
    """UTF-8 bytes of all text: what token counts are estimated from."""
    if isinstance(example, Text):
        return len(example.document.encode("utf-8", "surrogatepass"))
    return sum(map(message_bytes, example.messages)) + (len(_json(example.tools)) if example.tools else 0)


def message_bytes(message: Message) -> int:
    """UTF-8 bytes of one turn."""
    size = len(message.content.encode("utf-8", "surrogatepass"))
    return size + len(_json(message.extra)) if message.extra else size


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, default=dict) if value else ""
