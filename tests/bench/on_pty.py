"""A program on a pty of its own, as a terminal sees it: bytes with their times, keys, sizes, CPU time."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]


class OnPty:
    """Starts Python with `arguments`; `read` takes what comes, at most `bytes_per_second` of it."""

    def __init__(
        self,
        arguments: list[str],
        size: tuple[int, int],
        *,
        python: str = sys.executable,
        folder: str = str(ROOT),
        **environment: str,
    ) -> None:
        self.started = time.perf_counter()
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            wanted = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8", "HF_HUB_OFFLINE": "1"}
            os.execve(python, [python, *arguments], {**os.environ, **wanted, **environment})
        self.resize(*size)
        self.taken = 0
        self.screen = b""
        """All that came, in order."""

    def resize(self, columns: int, lines: int) -> None:
        """Another size, as a window manager sets it."""
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def press(self, keys: bytes) -> None:
        """Type."""
        os.write(self._fd, keys)

    def read(self, seconds: float, until: bytes = b"", bytes_per_second: float = float("inf")) -> float | None:
        """Take output for `seconds`, or until `until` comes; the time at which it came, or None."""
        begin, seen = time.perf_counter(), len(self.screen)
        taken_here = 0
        while (now := time.perf_counter()) < begin + seconds:
            allowed = (now - begin) * bytes_per_second - taken_here
            if allowed < 1:
                time.sleep(0.005)
                continue
            if not select.select([self._fd], [], [], 0.005)[0]:
                continue
            try:
                data = os.read(self._fd, int(min(65536, allowed)))
            except OSError:  # the other side is gone
                return None
            taken_here += len(data)
            self.taken += len(data)
            self.screen += data
            if until and until in self.screen[seen:]:
                return time.perf_counter()
        return None

    def processes(self) -> list[psutil.Process]:
        """The program and what it has started."""
        first = psutil.Process(self.pid)
        return [first, *first.children(recursive=True)]

    def cpu_seconds(self) -> float:
        """User and system time of all of them so far."""
        return sum(sum(process.cpu_times()[:2]) for process in self.processes())

    def peak_bytes(self) -> int:
        """The largest resident size of one of them now."""
        return max(process.memory_info().rss for process in self.processes())

    def close(self) -> None:
        """End it."""
        for process in self.processes():
            process.send_signal(signal.SIGKILL)
        os.close(self._fd)
        os.waitpid(self.pid, 0)
