"""`commands.jsonl`: stop, pause and checkpoint, from any process to the trainer, which reads it between steps."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from backend.run.events import EventLog, Tail

Command = Literal["stop", "pause", "checkpoint"]


def send(commands_file: Path, command: Command) -> None:
    """Append a command; the trainer obeys at its next step boundary."""
    log = EventLog(commands_file)
    log.write(command)
    log.close()


class Inbox:
    """The trainer's side, opened when it is asked to start.

    Commands from before that belong to an earlier attempt and are skipped.
    """

    def __init__(self, commands_file: Path, since: int | None = None) -> None:
        """`since`: bytes of the file that belong to earlier attempts; by default all that is there."""
        self._tail = Tail(commands_file, since or 0)
        if since is None:
            for _ in self._tail.lines():
                pass
        self.since = self._tail.offset
        self._waiting: list[Command] = []

    def poll(self) -> list[Command]:
        """Commands since the last call, in order; unknown ones are ignored."""
        self._read()
        commands, self._waiting = self._waiting, []
        return commands

    def has_end(self) -> bool:
        """A stop or a pause waits for the next `poll`: what takes long is better broken off."""
        self._read()
        return any(command != "checkpoint" for command in self._waiting)

    def _read(self) -> None:
        self._waiting += [event["event"] for event in self._tail.events() if event["event"] in get_args(Command)]
