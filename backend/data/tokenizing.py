"""How rows become tokens: what the user chooses, and what the rows on disk depend on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

TrainOnTurns = Literal["all", "last"]

FIELDS = frozenset({"train_on_turns", "special_tokens_in_data"})
"""Plan fields that change how rows become tokens, besides `max_length`."""


@dataclass(frozen=True)
class Tokenizing:
    """Choices that change the tokens of a row or which of them are targets."""

    max_length: int | None = None
    """Rows are cut after so many tokens; None leaves them whole."""
    train_on_turns: TrainOnTurns = "all"
    """All answers of a conversation are targets, or the last alone."""
    special_tokens_in_data: bool = False
    """A control token's text in the data (`<|im_end|>` in an answer) becomes the token, and not plain text."""


def chosen(fields: Mapping[str, Any]) -> Tokenizing:
    """The choices among these plan fields, rows left whole."""
    return Tokenizing(None, fields.get("train_on_turns", "all"), fields.get("special_tokens_in_data", False))


WHOLE = Tokenizing()
