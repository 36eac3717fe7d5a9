"""What every data format becomes: a conversation whose answers are scored, or a plain text document."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import blake2b
from types import MappingProxyType
from typing import Any, NamedTuple

NO_EXTRA: Mapping[str, Any] = MappingProxyType({})


class Message(NamedTuple):  # tuples, here and below: there are many of them, and they are made twice as fast
    """One turn. `role` is system, user, assistant or tool."""

    role: str
    content: str
    scored: bool = False
    """The model learns to write this turn; only assistant turns ever are."""
    extra: Mapping[str, Any] = NO_EXTRA
    """Further fields that chat templates read: tool_calls, tool_call_id, name, reasoning_content."""
    is_null: bool = False
    """The turn has tool calls and no content (null, or no such key), which some templates distinguish from ""."""

    def as_dict(self) -> dict[str, Any]:
        """The turn as chat templates take it, what was thought under each name that one of them reads."""
        turn = {"role": self.role, "content": None if self.is_null and not self.content else self.content, **self.extra}
        if (thought := self.extra.get("reasoning_content")) is not None:
            turn["thinking"] = turn["reasoning"] = thought
        return turn


class Conversation(NamedTuple):
    """Turns in order, and the tools that they may call (OpenAI's function shape)."""

    messages: tuple[Message, ...]
    tools: tuple[Mapping[str, Any], ...] = ()
    row: int = 0
    """Number of the data's row it comes from, counted from 1."""


class Text(NamedTuple):
    """A document: every token of it is scored."""

    document: str
    row: int = 0
    """Number of the data's row it comes from, counted from 1."""
    ends: bool = True
    """An end-of-text token follows; False for a passage whose document goes on in the next row."""


Example = Conversation | Text


def digest(example: Example) -> bytes:
    """16 bytes that are equal for examples of the same content, in whatever rows."""
    if isinstance(example, Text):
        content = "t" + example.document
    else:
        parts = [
            f"{m[0]}\x1f{m[1]}\x1f{m[2]}\x1f{_json(m[3]) if m[3] else ''}{chr(0) * m[4]}" for m in example.messages
        ]
        content = "c" + "\x1e".join(parts) + (_json(example.tools) if example.tools else "")
    return blake2b(content.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def message_digest(message: Message) -> bytes:
    """16 bytes that are equal for turns of the same role, text and further fields."""
    content = f"{message.role}\x1f{message.content}\x1f{_json(message.extra)}"
    return blake2b(content.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def answer_of(example: Example) -> str:
    """The last scored turn's text (with its tool calls), or the document."""
    if isinstance(example, Text):
        return example.document
    for message in reversed(example.messages):
        if message.scored:
            return message.content or _json(message.extra)
    return ""


def message_bytes(message: Message) -> int:
    """UTF-8 bytes of one turn."""
    size = len(message.content.encode("utf-8", "surrogatepass"))
    return size + len(_json(message.extra)) if message.extra else size


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, default=_plain) if value else ""


def _plain(value: Any) -> Any:
    """What JSON has no form for: other kinds of mappings, and dates or bytes of a table."""
    return dict(value) if isinstance(value, Mapping) else str(value)
