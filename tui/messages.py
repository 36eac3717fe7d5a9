"""Messages from worker threads to a screen. The threads post them and never wait for the screen."""

from __future__ import annotations

from typing import Any

from textual.message import Message

from backend.errors import UserError


class Looked(Message):
    """A look-up has ended: with `value`, or with `error` if it failed; `key` says what was asked."""

    def __init__(self, key: object, value: Any = None, error: UserError | None = None) -> None:
        super().__init__()
        self.key = key
        self.value = value
        self.error = error


class Listed(Message):
    """A list has been read: what there is to choose from."""

    def __init__(self, found: list[Any]) -> None:
        super().__init__()
        self.found = found


class Described(Message):
    """More is known about lines that are listed: value -> the words at its right."""

    def __init__(self, details: dict[str, str]) -> None:
        super().__init__()
        self.details = details
