"""The questions that the model is asked at each evaluation: the user's own, and some of held-out rows."""

from __future__ import annotations

from backend.errors import UserError

MOST_OWN = 8
"""The most questions of the user's own: all are answered at each evaluation."""
TOGETHER = 3
"""Questions that are answered together. Held-out questions fill up the user's own to this number, at least one."""


def own(text: str) -> tuple[str, ...]:
    """The questions of `sample_prompts`, one a line."""
    return tuple(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))


def held_out(count: int) -> int:
    """How many questions of held-out rows are asked besides `count` of the user's own."""
    return max(1, TOGETHER - count)


def asked(text: str) -> int:
    """The number of all questions, if none is left out and the data has enough."""
    count = len(own(text))
    return count + held_out(count)


def groups(text: str) -> int:
    """The number of batches that the questions are asked in."""
    return -(-asked(text) // TOGETHER)


def refuse(text: str) -> None:
    """Raise UserError if there are too many."""
    if (count := len(own(text))) > MOST_OWN:
        raise UserError(
            f"sample_prompts: {count} questions, and all are answered at each evaluation; give at most {MOST_OWN}",
            "sample_prompts",
        )
