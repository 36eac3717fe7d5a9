"""Whether an answer is right, by rule: the same text, last number, or match of a regular expression."""

from __future__ import annotations

import math
import re
from decimal import Decimal

from backend.errors import UserError

EXACT, NUMBER = "exact", "number"
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?|-?\.\d+")
_Z = 1.959963984540054
"""The normal distribution's 97.5 % quantile."""


def check(task: str) -> None:
    """Raise UserError if `task` is neither a known rule nor a regular expression."""
    try:
        re.compile(task)
    except re.error as error:
        raise UserError(
            f"task: {task!r} is no regular expression ({error}); it takes exact, number, or one whose match (or first "
            "group) is compared",
            "task",
        ) from None


def is_right(task: str, answer: str, wanted: str) -> bool:
    """Whether `answer` has what `wanted` has; an answer without it is wrong."""
    ours, theirs = extracted(task, answer), extracted(task, wanted)
    return theirs is not None and ours == theirs


def extracted(task: str, text: str) -> str | Decimal | None:
    """What of a text is compared; None if it has nothing of the kind.

    `exact`: the text without space around it. `number`: its last number, as GSM8K's answers end with theirs. Any other
    task is a regular expression: its last match, or the first group of that; one that is empty says nothing.
    """
    if task == EXACT:
        return text.strip() or None
    if task == NUMBER:
        found = _NUMBER.findall(text)
        return Decimal(found[-1].replace(",", "")) if found else None
    matches = [_compared(match) for match in re.finditer(task, text)]
    return next((found for found in reversed(matches) if found), None)


def _compared(match: re.Match[str]) -> str:
    return str(match[1] if match.re.groups and match[1] is not None else match[0]).strip()


def wilson(right: int, rows: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927): never below 0 or above 1, and wide for few rows."""
    if not rows:
        return 0.0, 1.0
    share, z2 = right / rows, _Z**2
    middle = (share + z2 / (2 * rows)) / (1 + z2 / rows)
    half = _Z * math.sqrt(share * (1 - share) / rows + z2 / (4 * rows**2)) / (1 + z2 / rows)
    return max(0.0, middle - half), min(1.0, middle + half)
