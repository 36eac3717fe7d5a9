"""What libraries printed to file descriptors 1 and 2: the run's trainer.log, as lines for the log panel."""

from __future__ import annotations

import re
from pathlib import Path
from typing import BinaryIO

FIRST_BYTES = 64 << 10
"""The most bytes that the first call reads of earlier output; the file has all of it."""
LINES_AT_ONCE = 200
"""The most lines per call: a library that prints endlessly must not push everything else out of the log."""
_REST_BYTES = 16 << 10
_COLOURS = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")


class Printed:
    """Reads what was added since the last call.

    Of a line that is overwritten, as by a progress bar, only the last state counts.
    """

    def __init__(self, log_file: Path) -> None:
        self._path = log_file
        self._offset: int | None = None
        self._rest = b""

    def poll(self) -> list[str]:
        """New complete lines, at most `LINES_AT_ONCE` of them, the newest ones; empty if there is no file yet."""
        try:
            if not self._path.is_file():  # opening a pipe would wait forever
                return []
            with self._path.open("rb") as file:
                data = self._read(file.seek(0, 2), file)
        except OSError:
            return []
        *complete, rest = (self._rest + data).split(b"\n")
        self._rest = rest.rpartition(b"\r")[2][-_REST_BYTES:]
        return [text for line in complete[-LINES_AT_ONCE:] if (text := _shown(line))]

    def _read(self, end: int, file: BinaryIO) -> bytes:
        start = max(0, end - FIRST_BYTES) if self._offset is None else min(self._offset, end)
        file.seek(max(start, end - FIRST_BYTES))
        data = file.read()
        self._offset = file.tell()
        return data


def _shown(line: bytes) -> str:
    """The last state of a line that was overwritten, without colours."""
    states = [state for state in _COLOURS.sub(b"", line).split(b"\r") if state.strip()]
    return states[-1].decode("utf-8", "replace").rstrip() if states else ""
