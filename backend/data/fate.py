"""Whether an example is used, refused or without a target: one rule for the plan's counts and for the run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from backend.data.chat.tokens import Row
from backend.data.conversation import Example, Text

Fate = Literal["used", "refused", "no target", "answer cut"]


def fate(row: Row | None, max_length: int | None = None) -> Fate:
    """The fate of an example, by its tokens before any cut; `row` is None if the chat template refuses it."""
    if row is None:
        return "refused"
    if not row.scored.any():
        return "no target"
    return "used" if max_length is None or row.scored[:max_length].any() else "answer cut"


def fitted(example: Example, row: Row, max_length: int) -> Iterator[Row]:
    """An example's tokens within `max_length`: a conversation is cut; a document is divided, and none of it is lost.

    The first token of a row is never a target: nothing stands before it to predict it from.
    """
    if len(row.ids) <= max_length:
        yield row
    elif not isinstance(example, Text):
        yield Row(row.ids[:max_length], row.scored[:max_length], truncated=True)
    else:
        for start in range(0, len(row.ids), max_length):
            scored = row.scored[start : start + max_length].copy()
            scored[:1] = False
            if scored.any():
                yield Row(row.ids[start : start + max_length], scored)
