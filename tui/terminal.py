"""A terminal that may hang up at any time: writing to it never raises and never blocks for ever.

Textual's driver writes to the `Terminal` here, so that file descriptors 1 and 2 can go to a log: NCCL, CUDA and
progress bars write past Python. The driver relies on internals of the pinned Textual version; the tests marked
`terminal` check them.
"""

from __future__ import annotations

import asyncio
import io
import os
import select
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from textual.app import App
from textual.drivers.linux_driver import LinuxDriver

from tui.plain import plain

HANG_UP_CHECK_SECONDS = 1.0
STALL_SECONDS = 0.2
PATIENCE = 5
"""Number of stalls after which a terminal counts as gone while the screen is being closed."""
_SAFE_CHUNK = 256
"""Bytes that a terminal takes without blocking if `poll` calls it writable (the kernel's wake-up threshold)."""


class Terminal(io.TextIOBase):
    """Our end of the terminal. Once `gone`, writes are dropped; once `closing`, a stalled one has a second left."""

    encoding = "utf-8"
    """Whatever the locale, which is often wrong in a container."""

    def __init__(self, fd: int) -> None:
        self._fd, self._chunk = _open_own(fd)
        self.gone = False
        self.closing = False
        self.is_writing = False
        """A write is under way; on a slow connection it takes a while."""
        self._stalls = 0
        self.written_bytes = 0

    def isatty(self) -> bool:
        """True: it was a terminal when it was opened."""
        return True

    def fileno(self) -> int:
        """The descriptor whose size and attributes are the terminal's."""
        return self._fd

    def flush(self) -> None:
        """Nothing is buffered."""

    def write(self, text: str) -> int:
        """Write all of `text`, or drop it if the terminal is gone."""
        if self.gone:
            return len(text)
        data = memoryview(text.encode("utf-8", "replace"))
        self.is_writing = True
        while data and not self.gone:
            _, writable, _ = select.select([], [self._fd], [], STALL_SECONDS)
            if writable:
                data = data[self._write_some(data) :]
            elif self.closing:
                self._stalls += 1
                self.gone = self._stalls >= PATIENCE
        self.is_writing = False
        return len(text)

    def _write_some(self, data: memoryview) -> int:
        try:
            count = os.write(self._fd, data[: self._chunk])
        except BlockingIOError:
            return 0
        except OSError:  # EIO: the terminal hung up
            self.gone = True
            return 0
        self.written_bytes += count
        return count

    def hung_up(self) -> bool:
        """Whether the other side is closed, even if there was no SIGHUP."""
        poll = select.poll()
        poll.register(self._fd, 0)
        self.gone = self.gone or any(event & (select.POLLHUP | select.POLLERR) for _, event in poll.poll(0))
        return self.gone

    def close(self) -> None:
        """Close the terminal; writes are dropped from now on."""
        if not self.closed:
            self.gone = True
            os.close(self._fd)
        super().close()

    def say(self, sentence: str) -> None:
        """A line for the user, or several, after the screen is gone."""
        self.write(plain(sentence + "\n").replace("\n", "\r\n"))


def _open_own(fd: int) -> tuple[int, int]:
    """Our own open file description of the terminal and the largest write to it.

    O_NONBLOCK must not leak into the shell's description. If the terminal can't be opened again (in some containers it
    has no name), a duplicate is written to in chunks that do not block.
    """
    for name in (_name(fd), "/dev/tty"):
        try:
            if name:
                return os.open(name, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK), 1 << 16
        except OSError:
            continue
    return os.dup(fd), _SAFE_CHUNK


def _name(fd: int) -> str | None:
    try:
        return os.ttyname(fd)
    except OSError:
        return None


def why_unusable() -> str:
    """Why standard input and output can't show a screen, in words; empty if they can."""
    if not (os.isatty(0) and os.isatty(1)):
        return "the screen needs a terminal for input and output"
    if os.environ.get("TERM") == "dumb":
        return "this terminal can't show a screen (TERM=dumb)"
    return ""


def redirect_output(log_file: Path) -> None:
    """Append what is written to descriptors 1 and 2, by C code too, to `log_file` from now on."""
    sys.stdout.flush()
    sys.stderr.flush()
    log = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK, 0o600)  # a pipe is an error
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)


def log_streams() -> None:
    """Make Python's own streams fit for a log: UTF-8 whatever the locale, line by line, no encoding errors."""
    for name, fd in (("stdout", 1), ("stderr", 2)):
        stream = open(fd, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def silence_input() -> None:
    """Put an idle pipe on descriptor 0: reading from a terminal that hung up would return at once, for ever.

    The pipe holds one focus event, for a read that was about to get data before the swap. Its writing end stays open.
    """
    reader, writer = os.pipe()
    os.write(writer, b"\x1b[O")
    os.dup2(reader, 0)
    os.close(reader)


def driver_for(terminal: Terminal, lost: Callable[[], None]) -> type[LinuxDriver]:
    """Textual's driver on `terminal`; `lost` is called, from any thread, when the terminal has hung up."""

    class TerminalDriver(LinuxDriver):
        def __init__(self, app: App[Any], **options: Any) -> None:
            super().__init__(app, **options)
            self._file = terminal  # type: ignore[assignment]
            # A stop (Ctrl+Z) would stop the trainer too. And the kernel sends SIGCONT after SIGHUP, for which Textual's
            # handler would start a second input thread.
            signal.signal(signal.SIGTSTP, signal.SIG_IGN)
            signal.signal(signal.SIGCONT, signal.SIG_DFL)

        @property
        def is_behind(self) -> bool:
            """Whether the terminal has not yet taken everything that was written: changes are then drawn later."""
            writer = self._writer_thread
            return terminal.is_writing or (writer is not None and writer._queue.qsize() > 0)

        def _get_terminal_size(self) -> tuple[int, int]:
            try:
                columns, lines = os.get_terminal_size(terminal.fileno())
            except OSError:  # gone
                return 80, 24
            return columns or 80, lines or 24

        def start_application_mode(self) -> None:
            super().start_application_mode()  # type: ignore[no-untyped-call]
            # Without a front the shell takes the terminal back; touching it then must fail, not stop the process.
            signal.signal(signal.SIGTTOU, signal.SIG_IGN)
            signal.signal(signal.SIGTTIN, signal.SIG_IGN)
            self._watch()

        def _watch(self) -> None:
            if terminal.hung_up() or terminal.closing:  # closing: a signal arrived before the screen was shown
                lost()
            else:
                asyncio.get_running_loop().call_later(HANG_UP_CHECK_SECONDS, self._watch)

        def run_input_thread(self) -> None:
            try:
                super().run_input_thread()
            except OSError:  # EIO: the terminal hung up between two reads
                lost()

    return TerminalDriver
