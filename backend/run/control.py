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

    Commands from before that belong to an earlier life of the run and are skipped.
    """

    def __init__(self, commands_file: Path) -> None:
        self._tail = Tail(commands_file)
        for _ in self._tail.lines():
            pass

    def poll(self) -> list[Command]:
        """Commands since the last call, in order; unknown ones are ignored."""
        return [event["event"] for event in self._tail.events() if event["event"] in get_args(Command)]
