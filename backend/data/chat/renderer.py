"""Has chat templates rendered in a process of their own, which may loop or allocate without end (rendering.py).

One process renders all templates, one text after another. It is started when a template is loaded. It ends with this
process, or when it goes beyond its limits; the next rendering then starts another.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, cast

from backend import signals
from backend.data.chat.rendering import MEAN_SECONDS, SECONDS, Answer, Request, decoded, read, write
from backend.errors import UserError

_CODE = "import sys; sys.path[:] = sys.argv[1:]; from backend.data.chat.rendering import main; main()"


class _Child:
    """A running process."""

    def __init__(self) -> None:
        """Raises UserError if no process can be started."""
        try:
            with signals.blocked():  # a scheduler may signal all processes, and the run would fail without this one
                self._process = subprocess.Popen(
                    (sys.executable, "-I", "-c", _CODE, *_search_path()),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,  # out of reach of Ctrl+C in the terminal
                )
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise UserError(f"the process that renders chat templates can't be started ({why}); end others") from None
        self._requests = cast(BinaryIO, self._process.stdin)
        self._answers = cast(BinaryIO, self._process.stdout)
        self._asked = time.monotonic()

    def ask(self, request: Request) -> Iterator[Answer]:
        """The answers, up to the text that the process dies of."""
        try:
            self._asked = time.monotonic()
            write(self._requests, pickle.dumps(tuple(request)))
            for _ in request.variables:
                if (content := read(self._answers)) is None:
                    return
                self._asked = time.monotonic()
                yield decoded(content)
        except OSError:  # it has closed its end
            return

    def ended(self) -> str:
        """End it if it is still running; returns in words what it took too much of."""
        seconds = time.monotonic() - self._asked
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=1)
        code = self.end()
        if code in (-signal.SIGXCPU, -signal.SIGKILL):
            is_mean = seconds < SECONDS / 2
            return (
                f"more than {MEAN_SECONDS * 1000:.0f} ms on average up to" if is_mean else f"more than {SECONDS} s on"
            )
        return f"more than it may (its process ended with code {code}) on"

    def end(self) -> int:
        """End it now; returns its exit code."""
        self._process.kill()
        code = self._process.wait()
        self.close()
        return code

    def close(self) -> None:
        """Close this process's ends of the pipes: the child ends when they are closed in all processes."""
        for pipe in (self._requests, self._answers):
            with suppress(OSError):
                pipe.close()


def _search_path() -> list[str]:
    """Where this process imports from; a current folder that is gone has nothing to import."""
    found = []
    for path in sys.path:
        with suppress(OSError):
            found.append(str(Path(path).absolute()))
    return found


_lock = threading.Lock()
_child: _Child | None = None


def warm_up() -> None:
    """Start the process, which takes a tenth of a second, and go on. Raises UserError if it can't be started."""
    with _lock:
        _running()


def render(request: Request) -> list[Answer]:
    """What the process answers. The last answer is of the kind `limit` if it died, and the texts after it have none.

    Raises as `warm_up`.
    """
    global _child
    with _lock:
        child = _running()
        try:
            answers = list(child.ask(request))
        except BaseException:  # e.g. Ctrl+C: unread answers would be taken for those of the next request
            _child = None
            child.end()
            raise
        if len(answers) < len(request.variables):
            _child = None
            answers.append(Answer("limit", child.ended()))
        return answers


def _running() -> _Child:
    global _child
    if _child is None:
        _child = _Child()
    return _child


def _after_fork() -> None:
    """After a fork: the renderer belongs to the parent process, and this process starts its own."""
    global _child, _lock
    _lock = threading.Lock()
    if _child is not None:
        _child.close()
    _child = None


os.register_at_fork(after_in_child=_after_fork)
