"""Files of one JSON object per line, appended by one process and read by others while they grow."""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

_BLOCK_BYTES = 4 << 20
"""Read at once: a file of any length costs a reader no more memory."""


class Removed(FileNotFoundError):
    """The file was removed or moved while it was being written to, so that nobody would read further lines."""


class Appender:
    """Append-only writer. One `write(2)` per line, so that a reader never meets two lines mixed."""

    def __init__(self, path: Path) -> None:
        """Raises OSError. A file that ends in half a line (the disk was full) gets a line break first."""
        self._path = path
        # A pipe in its place is an error: without O_NONBLOCK, opening it would wait until somebody reads.
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK, 0o600)
        self._lock = threading.Lock()
        if not stat.S_ISREG(os.fstat(self._fd).st_mode):  # such as a link to /dev/null, which takes everything
            os.close(self._fd)
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        if _ends_in_half_a_line(path):
            self._write(b"\n")

    def append(self, record: Mapping[str, object]) -> None:
        """Append one line. Not-a-number and infinity become null, since JSON has neither.

        Raises Removed if the file is no longer there, and OSError if the disk is full.
        """
        line = encoded(record) + b"\n"
        with self._lock:
            self._refuse_removed()
            self._write(line)

    def _refuse_removed(self) -> None:
        try:
            is_there = os.path.samestat(self._path.stat(), os.fstat(self._fd))
        except (FileNotFoundError, NotADirectoryError):
            is_there = False
        if not is_there:
            raise Removed(errno.ENOENT, "it was removed or moved while it was being written to", str(self._path))

    def _write(self, line: bytes) -> None:
        """Write the whole line: a nearly full disk takes a part of it, and reports an error only at the next write."""
        while line:
            line = line[os.write(self._fd, line) :]

    def close(self) -> None:
        """Close the file; further lines raise OSError."""
        os.close(self._fd)


class Tail:
    """Reads what was appended since the last call; a half-written last line waits for its other half."""

    def __init__(self, path: Path, offset: int = 0) -> None:
        """`offset`: bytes at the start of the file to skip, up to the start of a line."""
        self._path = path
        self._offset = offset
        self._rest = b""

    def blocks(self) -> Iterator[bytes]:
        """New complete lines, some megabytes of them at a time. Nothing if there is no regular file yet."""
        try:
            if not self._path.is_file():  # reading a pipe would wait forever
                return
            file = self._path.open("rb")
        except OSError:
            return
        with file:
            file.seek(self._offset)
            while data := file.read(_BLOCK_BYTES):
                self._offset += len(data)
                complete, newline, self._rest = (self._rest + data).rpartition(b"\n")
                yield complete + newline

    def lines(self) -> Iterator[bytes]:
        """New complete lines one by one without their newline; empty ones are left out."""
        for block in self.blocks():
            yield from (line for line in block.split(b"\n") if line)

    def bytes_left(self) -> int:
        """Bytes of the file that are not read yet; 0 if there is no file."""
        try:
            return max(0, self._path.stat().st_size - self._offset)
        except OSError:
            return 0

    @property
    def offset(self) -> int:
        """Bytes of the file up to the end of the last complete line that was read."""
        return self._offset - len(self._rest)


def _ends_in_half_a_line(path: Path) -> bool:
    """Whether the last line is incomplete: the next one would be joined to it, and both would be lost."""
    try:
        if not path.is_file() or path.stat().st_size == 0:
            return False
        with path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) != b"\n"
    except OSError:  # the file may be writable but not readable
        return False


def encoded(value: object) -> bytes:
    """`value` as JSON; a lone surrogate from a row or a file's name, for which JSON has no bytes, becomes `?`."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return msgspec.json.encode(_encodable(value))


def _encodable(value: object) -> object:
    """`value` with `?` for lone surrogates."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_encodable(key): _encodable(item) for key, item in value.items()}
    return [_encodable(item) for item in value] if isinstance(value, list | tuple) else value
