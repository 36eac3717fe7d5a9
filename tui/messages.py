"""The wizard's messages: what worker threads tell a screen. They post and never wait for it."""

from __future__ import annotations

from typing import Any

from textual.message import Message

from backend.errors import UserError


class Looked(Message):
    """A lookup came back: `value`, or `error` where it failed; `key` says what was asked."""

    def __init__(self, key: object, value: Any = None, error: UserError | None = None) -> None:
        super().__init__()
        self.key = key
        self.value = value
        self.error = error


class Listed(Message):
    """What there is to choose from on this box."""

    def __init__(self, found: list[Any]) -> None:
        super().__init__()
        self.found = found
