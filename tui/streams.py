"""Standard input, output and error of a command: any of them may be closed, full, or a pipe that nobody reads."""

from __future__ import annotations

import os
import shutil
import sys
from io import TextIOWrapper

STANDARD = (0, 1, 2)
_LEAST_COLUMNS = 20


def settle() -> None:
    """Make all three usable; characters that the terminal's encoding lacks, or invalid bytes, don't end a command.

    In place of one that is closed (`>&-`) the null device is opened: the next file to be opened would take its number,
    and what libraries print would be written into it.
    """
    for fd in STANDARD:
        try:
            os.fstat(fd)
        except OSError:
            os.dup2(os.open(os.devnull, os.O_RDWR), fd)  # the same number; for child processes too
            os.set_inheritable(fd, True)
    sys.stdin = sys.stdin or open(0, encoding="utf-8")  # noqa: SIM115 - open as long as the process
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8")  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


def leave_room_for_help() -> None:
    """Give the library that draws the help a width that it can draw in.

    In a terminal of 2 columns it never ends, and for COLUMNS=1000000000 it takes all memory.
    """
    said = os.environ.get("COLUMNS", "80")
    if not (said.isdecimal() and len(said) < 5 and int(said) >= _LEAST_COLUMNS):
        del os.environ["COLUMNS"]
    if shutil.get_terminal_size().columns < _LEAST_COLUMNS:
        os.environ["COLUMNS"] = str(_LEAST_COLUMNS)


def flush() -> None:
    """Write what is still buffered. Raises OSError: BrokenPipeError if nobody reads it, or that the disk is full."""
    if sys.stdout is not None:
        sys.stdout.flush()


def drop_what_is_stuck() -> None:
    """Write what is buffered, or drop it: it would be tried again when the process ends, and fail again."""
    for fd, stream, own in ((1, sys.stdout, sys.__stdout__), (2, sys.stderr, sys.__stderr__)):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            if stream is own:
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, fd)
                os.close(null)
