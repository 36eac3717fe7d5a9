"""`events.jsonl`: the trainer appends one JSON object a line; whoever watches reads the same file."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

Event = dict[str, Any]


class EventLog:
    """Append-only writer. One `write(2)` a line, so that a reader never meets two halves mixed."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._lock = threading.Lock()

    def write(self, event: str, **fields: object) -> None:
        """Append `event` with the time in unix seconds. Not-a-number becomes null, as JSON wants it."""
        line = msgspec.json.encode({"t": round(time.time(), 3), "event": event, **fields}) + b"\n"
        with self._lock:
            os.write(self._fd, line)

    def close(self) -> None:
        """Close the file; further writes raise OSError."""
        os.close(self._fd)


class Tail:
    """Reads what was appended since the last call; a half-written last line waits for its other half."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._rest = b""

    def lines(self) -> Iterator[bytes]:
        """Complete new lines, without their newline. Nothing where the file does not exist yet."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return
        self._offset += len(data)
        *complete, self._rest = (self._rest + data).split(b"\n")
        yield from (line for line in complete if line)

    def events(self) -> Iterator[Event]:
        """New events. A damaged line (a crash in mid-write, then an append) is passed over."""
        for line in self.lines():
            try:
                event = msgspec.json.decode(line)
            except msgspec.DecodeError:
                continue
            if isinstance(event, dict) and isinstance(event.get("event"), str):
                yield event
