"""`events.jsonl`: the trainer appends one event per line; whatever watches the run reads the same file."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from backend.run import events
from backend.run.events import AnyEvent, Event
from backend.run.json_lines import Appender, Tail


class EventLog:
    """Writes events; from any thread."""

    def __init__(self, path: Path) -> None:
        self._file = Appender(path)

    def write(self, event: Event) -> None:
        """Append `event`, with the present time unless it has one."""
        self._file.append(events.record(event, round(time.time(), 3)))

    def close(self) -> None:
        """Close the file; further writes raise OSError."""
        self._file.close()


class EventTail(Tail):
    """Reads events as they come; damaged lines and unknown events are skipped."""

    def batches(self) -> Iterator[list[AnyEvent]]:
        """New events, some ten thousand at a time."""
        for block in self.blocks():
            yield events.decoded(block)

    def events(self) -> Iterator[AnyEvent]:
        """New events one by one."""
        for batch in self.batches():
            yield from batch
