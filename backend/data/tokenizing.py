"""How rows become tokens: what the user chooses, and what the rows on disk depend on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

TrainOnTurns = Literal["all", "last"]


@dataclass(frozen=True)
class Tokenizing:
    """Choices that change the tokens of a row or which of them are targets."""

    max_length: int | None = None
    """Rows are cut after so many tokens; None leaves them whole."""
    train_on_turns: TrainOnTurns = "all"
    """All answers of a conversation are targets, or the last alone."""
    special_tokens_in_data: bool = False
    """A control token's text in the data (`<|im_end|>` in an answer) becomes the token, and not plain text."""


WHOLE = Tokenizing()
