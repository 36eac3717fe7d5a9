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
_CHUNK_BYTES = 4 << 20
"""Read at once: a log of any length costs a reader no more memory."""


class EventLog:
    """Append-only writer. One `write(2)` a line, so that a reader never meets two halves mixed."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._lock = threading.Lock()

    def write(self, event: str, **fields: object) -> None:
        """Append `event` with the time in unix seconds. Not-a-number becomes null, as JSON wants it."""
        record = {"t": round(time.time(), 3), "event": event, **fields}
        try:
            line = msgspec.json.encode(record) + b"\n"
        except UnicodeEncodeError:  # a lone surrogate, of a row or a file's name, which JSON has no bytes for
            line = msgspec.json.encode(_encodable(record)) + b"\n"
        with self._lock:
            os.write(self._fd, line)

    def close(self) -> None:
        """Close the file; further writes raise OSError."""
        os.close(self._fd)


class Tail:
    """Reads what was appended since the last call; a half-written last line waits for its other half."""

    def __init__(self, path: Path, offset: int = 0) -> None:
        """`offset`: bytes of the file that are left out, up to the start of a line."""
        self._path = path
        self._offset = offset
        self._rest = b""

    def batches(self) -> Iterator[list[bytes]]:
        """Complete new lines, without their newline, some megabytes at a time. Nothing where there is no file yet."""
        try:
            file = self._path.open("rb")
        except FileNotFoundError:
            return
        with file:
            file.seek(self._offset)
            while data := file.read(_CHUNK_BYTES):
                self._offset += len(data)
                *complete, self._rest = (self._rest + data).split(b"\n")
                yield complete

    def bytes_left(self) -> int:
        """Bytes of the file that are not read yet; 0 where there is no file."""
        try:
            return max(0, self._path.stat().st_size - self._offset)
        except FileNotFoundError:
            return 0

    @property
    def offset(self) -> int:
        """Bytes of the file up to the end of the last complete line that was read."""
        return self._offset - len(self._rest)

    def lines(self) -> Iterator[bytes]:
        """Complete new lines one by one, empty ones left out."""
        for batch in self.batches():
            yield from (line for line in batch if line)

    def events(self) -> Iterator[Event]:
        """New events. A damaged line (a crash in mid-write, then an append) is passed over."""
        for line in self.lines():
            if (event := decoded(line)) is not None:
                yield event


def _encodable(value: object) -> object:
    """`value` with `?` for lone surrogates."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_encodable(key): _encodable(item) for key, item in value.items()}
    return [_encodable(item) for item in value] if isinstance(value, list | tuple) else value


def decoded(line: bytes) -> Event | None:
    """The event of a line; None where the line is damaged."""
    try:
        event = msgspec.json.decode(line)
    except msgspec.DecodeError:
        return None
    return event if isinstance(event, dict) and isinstance(event.get("event"), str) else None


def name_of(line: bytes) -> bytes | None:
    """The event's name from the head of a line, undecoded; None where the line begins otherwise than ours do."""
    parts = line[:80].split(b'"', 6)
    return parts[5] if len(parts) == 7 and parts[1] == b"t" and parts[3] == b"event" else None
