"""How rows are read: which column plays which part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from backend.data.finding import Finding
from backend.data.layout.joined import Joined

Kind = Literal["alpaca", "sharegpt", "messages", "prompt-completion", "text"]


@dataclass(frozen=True)
class Layout:
    """How rows are read."""

    kind: Kind
    mapping: dict[str, str]
    """role -> column."""
    findings: tuple[Finding, ...] = ()
    """What was chosen among several columns, what is not used, and what to think of before training."""
    unused: tuple[str, ...] = ()
    """Columns that play no part."""
    others: tuple[Layout, ...] = ()
    """Layouts of rows that have none of this one's columns."""
    preference: tuple[str, str] | None = None
    """Columns of the better and the worse answer; the worse one is not trained on."""
    verdict: str = ""
    """The column whose rows are left out if it is false there."""
    marks: str = ""
    """The column whose rows are left out unless it says whether they are good or bad, as some objectives need."""
    worse: Layout | None = None
    """How the worse answer is read; rows are left out if it is not a different answer to the same prompt."""
    media: tuple[str, ...] = ()
    """Columns of images and the like: a row that has one is refused."""
    has_media_marks: bool = False
    """A mark such as <image> stands for an image wherever it is in a text."""
    joined: Joined | None = None
    """Each row is one turn of a conversation."""
    is_rendered: bool = False
    """The prompts are transcripts that end where the answer begins."""
    is_said: bool = False
    """The user named the columns of the texts."""

    @property
    def needed(self) -> tuple[str, ...]:
        """Columns without which a row can't be read."""
        return tuple(
            self.mapping[role] for role in ("messages", "prompt", "completion", "text") if role in self.mapping
        )
