"""A part of a large file of lines, evenly spaced over it."""

from __future__ import annotations

import io
from typing import BinaryIO

BLOCK_BYTES = 4 << 20


class Excerpt(io.RawIOBase):
    """Whole lines of `file` from blocks that are spread evenly over it, about `wanted` bytes together."""

    def __init__(self, file: BinaryIO, size: int, wanted: int) -> None:
        super().__init__()
        self._file, self._size = file, size
        self._blocks = max(1, wanted // BLOCK_BYTES)
        self._next = 0
        self._pending = b""
        self.taken = 0
        """Bytes of the file that were handed out."""

    def readable(self) -> bool:
        """It is read as any file."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """The next bytes; 0 at the end."""
        while not self._pending and self._next < self._blocks:
            self._pending = self._block(self._next)
            self._next += 1
        part = self._pending[: len(buffer)]
        self._pending = self._pending[len(part) :]
        buffer[: len(part)] = part
        self.taken += len(part)
        return len(part)

    def _block(self, number: int) -> bytes:
        start = number * self._size // self._blocks
        self._file.seek(max(0, start - 1))
        if start:
            self._file.readline()  # skip to the start of the next line
        if self._file.tell() >= (number + 1) * self._size // self._blocks:
            return b""  # a line that reached into the next block has covered this one
        block = self._file.read(BLOCK_BYTES) + self._file.readline()
        return block if block.endswith(b"\n") or not block else block + b"\n"
