"""`commands.jsonl`: stop, pause and checkpoint, from any process to the trainer, which reads it between steps."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Literal

import msgspec

from backend.run.json_lines import Appender, Tail

Command = Literal["stop", "pause", "checkpoint"]


class _Line(msgspec.Struct):
    """A line of the file; any other field does no harm."""

    event: Command


_DECODER = msgspec.json.Decoder(_Line)  # once, at import: see backend/typed.py


def send(commands_file: Path, command: Command) -> None:
    """Append a command; the trainer obeys at its next step boundary."""
    file = Appender(commands_file)
    file.append({"t": round(time.time(), 3), "event": command})
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
        self._waiting: list[Command] = []

    def poll(self) -> list[Command]:
        """Commands since the last call, in order; unknown ones are ignored."""
        self._read()
        commands, self._waiting = self._waiting, []
        return commands

    def has_end(self) -> bool:
        """A stop or a pause waits for the next `poll`: break off what takes long."""
        self._read()
        return any(command != "checkpoint" for command in self._waiting)

    def _read(self) -> None:
        self._waiting += [command for line in self._tail.lines() if (command := _command(line)) is not None]


def _command(line: bytes) -> Command | None:
    """The command of a line; None if it is damaged or unknown."""
    try:
        return _DECODER.decode(line).event
    except (ValueError, RecursionError):
        return None
