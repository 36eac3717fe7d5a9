"""A small parent that stays the shell's job, so that leaving the screen gives the prompt back and the child trains on.

Forked before any thread and before CUDA. The parent, the front, only waits: it exits when the child says that its
screen is gone, or with the child's exit code.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from types import FrameType


class Leash:
    """The child's end of a pipe to the front: while it is open, the front keeps the shell waiting."""

    def __init__(self, fd: int) -> None:
        self._fd: int | None = fd

    def release(self) -> None:
        """Give the prompt back: the front exits with code 0. Later calls do nothing."""
        if self._fd is None:
            return
        with contextlib.suppress(BrokenPipeError):  # somebody killed the front: the prompt is back already
            os.write(self._fd, b"d")
        os.close(self._fd)
        self._fd = None


def fork() -> Leash:
    """Fork; returns in the child only. The parent becomes the front and ends by itself."""
    sys.stdout.flush()
    sys.stderr.flush()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        return Leash(writer)
    os.close(writer)
    os._exit(_wait(child, reader))


def _wait(child: int, reader: int) -> int:
    """Forward SIGTERM to the child and wait until it releases the shell or ends; returns the exit code."""

    def pass_on(number: int, _frame: FrameType | None) -> None:
        os.kill(child, number)

    # The terminal sends these to the whole group: the child answers them, the front only waits for what it does.
    for number in (signal.SIGINT, signal.SIGTSTP, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, pass_on)
    if os.read(reader, 1):
        return 0
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code
