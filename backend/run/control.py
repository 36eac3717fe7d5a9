"""`commands.jsonl`: stop, pause, checkpoint and changes, from any process to the trainer, read between steps."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from backend.errors import UserError
from backend.plan import fields
from backend.run.json_lines import Appender, Tail

Command = Literal["stop", "pause", "checkpoint", "finish"]
"""`finish`: the next step is the last one, and the run then ends as it would after its planned steps."""


class Change(NamedTuple):
    """Change a plan field while the run trains."""

    field: str
    value: int | float


class PauseAt(NamedTuple):
    """Pause when this step is done; a sweep first trains each setting up to such a step."""

    step: int


CHANGEABLE = ("learning_rate", "eval_every", "save_every", "max_steps", "early_stopping_patience")
"""Plan fields that can be changed in flight: they change neither the rows of a step nor the memory."""


class _Line(msgspec.Struct):
    """A line of the file; unknown fields are ignored."""

    event: Literal["stop", "pause", "checkpoint", "finish", "change", "pause_at"]
    step: int = 0
    field: str = ""
    value: int | float | None = None


_DECODER = msgspec.json.Decoder(_Line)  # once, at import: see backend/typed.py


def send(commands_file: Path, command: Command) -> None:
    """Append a command; the trainer obeys at its next step boundary."""
    file = Appender(commands_file)
    file.append({"t": round(time.time(), 3), "event": command})
    file.close()


def send_change(commands_file: Path, field: str, value: float) -> None:
    """Append a change of a plan field; the trainer makes it at its next step boundary."""
    file = Appender(commands_file)
    file.append({"t": round(time.time(), 3), "event": "change", "field": field, "value": value})
    file.close()


def send_pause_at(commands_file: Path, step: int) -> None:
    """Append a command to pause when `step` is done."""
    file = Appender(commands_file)
    file.append({"t": round(time.time(), 3), "event": "pause_at", "step": step})
    file.close()


class Inbox:
    """The trainer's side, opened when it is asked to start.

    Commands from before that belong to an earlier attempt and are skipped.
    """

    def __init__(self, commands_file: Path, since: int | None = None) -> None:
        """`since`: bytes of the file that belong to earlier attempts; by default all that is there."""
        self._tail = Tail(commands_file, since or 0)
        if since is None:
            for _ in self._tail.blocks():
                pass
        self.since = self._tail.offset
        self._waiting: list[Command | Change | PauseAt] = []

    def put(self, command: Command) -> None:
        """Add a command from this process itself, if the file can't be written to."""
        self._waiting.append(command)

    def poll(self) -> list[Command | Change | PauseAt]:
        """Commands since the last call, in order; unknown ones are ignored."""
        self._read()
        commands, self._waiting = self._waiting, []
        return commands

    def has_end(self) -> bool:
        """Whether a stop or a pause waits for the next `poll`, so that long work should be broken off."""
        self._read()
        return any(command in ("stop", "pause") for command in self._waiting)

    def _read(self) -> None:
        self._waiting += [command for line in self._tail.lines() if (command := _command(line)) is not None]


def _command(line: bytes) -> Command | Change | PauseAt | None:
    """The command of a line; None if it is damaged or unknown, or a change that can't be made."""
    try:
        read = _DECODER.decode(line)
    except (ValueError, RecursionError):
        return None
    if read.event == "pause_at":
        return PauseAt(read.step)
    if read.event != "change":
        return read.event
    try:
        return Change(read.field, fields.parse(read.field, read.value)) if read.field in CHANGEABLE else None
    except UserError:
        return None
