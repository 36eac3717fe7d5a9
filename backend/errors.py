"""Errors that the user can fix, each with one sentence and the field it belongs to; and exit codes of commands."""

from __future__ import annotations

import re

STOPPED = 130
"""Exit code of a run that was stopped or paused before its end, as a shell reports Ctrl+C."""
STOPPED_BY_SIGNAL = 75
"""Exit code of `train --or-resume` if a signal ended it with a checkpoint; the same command resumes (EX_TEMPFAIL)."""
TRAINING_FAILED = 4
_LONGEST = 200
"""Characters of a wrong value that a sentence shows."""
_LONGEST_SENTENCE = 980
_LONG_WORD = re.compile(r"\S{300,}")
"""A word longer than any real path, such as a column's name or a number in a damaged file."""
_LINE_BREAKS = re.compile(r"[\r\n]+")
_OF_STATE = {"done": 0, "stopped": STOPPED, "paused": STOPPED}


def exit_code(state: str | None) -> int:
    """The exit code of a command whose run ended as `state`; None if the run did not say how."""
    return _OF_STATE.get(state or "failed", TRAINING_FAILED)


class UserError(ValueError):
    """Wrong input. `str()` is one sentence that names the value and the fix; the command ends with code 2.

    `field` is the name in `Answers` or `Plan` that a screen marks; None if no single field is to blame.
    """

    exit_code = 2

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(_within_reason(message))
        self.field = field


def _within_reason(sentence: str) -> str:
    """`sentence` with the middle of overlong words left out, and then its own middle if it is still too long."""
    line = _LINE_BREAKS.sub(" ", sentence)  # a tensor's name may hold anything
    shorter = _LONG_WORD.sub(lambda word: f"{word[0][:100]}...{word[0][-40:]}", line)
    if len(shorter) <= _LONGEST_SENTENCE:
        return shorter
    return f"{shorter[: _LONGEST_SENTENCE - 300]} ... {shorter[-300:]}"


def wont_do(name: str, value: object, takes: str, field: str | None = None) -> UserError:
    """The error for a wrong value: `rank: 'abc' won't do; it takes a whole number of at least 1`."""
    shown = f"{value:g}" if isinstance(value, float) else repr(value)
    if len(shown) > _LONGEST:
        shown = f"{shown[:_LONGEST]}..."
    return UserError(f"{name}: {shown} won't do; it takes {takes}", field or name)


class DoesNotFit(UserError):
    """No method fits the device, or the budget: exit code 3."""

    exit_code = 3


class TrainingFailed(RuntimeError):
    """The run ended in an error of its own; the message is one sentence for the user: exit code 4."""

    exit_code = TRAINING_FAILED
