"""A row as read, before any layout is known."""

from __future__ import annotations

from typing import Any

Value = dict[str, Any]
"""Column -> cell."""
TEXT_COLUMN = "text"
"""The column of rows that are no objects: lines of plain text, strings in a JSON array."""
GOES_ON = "\0goes on"
"""Marks a passage whose document continues in the next row (no column can have this name in a text file)."""


def kind_of(value: Any) -> str:
    """What a JSON value is, in words: `a list`, `null`."""
    names = {str: "a text", bool: "a truth value", int: "a number", float: "a number", list: "a list"}
    return "null" if value is None else names.get(type(value), "an object")
