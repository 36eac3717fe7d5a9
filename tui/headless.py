"""Train without a screen: the same trainer thread, its events printed as plain lines or as JSON."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from types import FrameType

from backend import settings
from backend.errors import STOPPED_BY_SIGNAL, UserError, exit_code
from backend.launch import launch
from backend.launch.queue import waiting
from backend.run.event_log import EventTail
from backend.run.events import RunFinished
from backend.run.folder import RunFolder
from tui.event_lines import EventLines
from tui.plain import in_json, plain

POLL_SECONDS = 0.1

Out = Callable[[str], None]


def run(folder: RunFolder, *, as_json: bool = False, detach: bool = False, may_go_on: bool = False) -> int:
    """Train `folder` to its end and return the exit code; with `detach` train in a child and return at once.

    `may_go_on`: a scheduler restarts the command if a signal stopped it; that case has its own exit code. Raises
    UserError for settings that can't be read.
    """
    settings.load()  # refused here: a child in the background has no terminal to say it on
    child = _fork_into_background() if detach else 0
    if child:
        return _when_it_runs(folder, child)
    own = os.dup(1), os.dup(2)
    try:
        return _train(folder, as_json=as_json, may_go_on=may_go_on)
    except Exception:
        for number, kept in enumerate(own, 1):  # the error is for the user, not for the run's log
            os.dup2(kept, number)
        raise
    finally:
        for kept in own:
            os.close(kept)


def _train(folder: RunFolder, *, as_json: bool, may_go_on: bool) -> int:
    """Train `folder` to its end in this process and return the exit code."""
    out, complain = _keep_streams(folder)
    tail, lines = EventTail(folder.events_file), EventLines()
    for event in tail.events():  # an earlier attempt of a resumed run was printed at the time
        lines.pass_over(event)
    waiting.leave(folder)
    trainer = launch.start(folder)
    signals = _stop_on_signals(trainer.stop)
    if not as_json:
        out(plain(f"run {folder.name}", lines=False))
    follow(tail, out, as_json=as_json, alive=trainer.is_alive, lines=lines)
    trainer.join()
    if unsaid := trainer.unsaid():
        complain(plain(f"fttui: {unsaid}", lines=False))
    elif wrong := _wrong_input(folder) if trainer.state == "failed" else "":
        complain(plain(f"fttui: {wrong}", lines=False))
        return UserError.exit_code
    if may_go_on and signals and trainer.state == "stopped":
        return STOPPED_BY_SIGNAL
    return exit_code(trainer.state)


def _wrong_input(folder: RunFolder) -> str:
    """The error in the user's input that the run failed with, such as data without a usable row; else empty."""
    ends = [event for event in EventTail(folder.events_file).events() if isinstance(event, RunFinished)]
    return ends[-1].error or "" if ends and ends[-1].wrong_input else ""


def follow(
    tail: EventTail, out: Out, *, as_json: bool, alive: Callable[[], bool], lines: EventLines | None = None
) -> None:
    """Print a run's events as they come, until it has ended and everything it wrote is printed."""
    lines = lines or EventLines()
    while True:
        was_alive = alive()
        if as_json:
            for raw in tail.lines():
                out(in_json(raw.decode("utf-8", "replace")))
        else:
            for event in tail.events():
                for line in lines.feed(event):
                    out(line)
        if not was_alive:
            return
        time.sleep(POLL_SECONDS)


def _fork_into_background() -> int:
    """Fork before any thread or CUDA. The child (0) leaves the shell's session; the parent gets its process id."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    return 0


def _when_it_runs(folder: RunFolder, child: int) -> int:
    """Return 0 when the run can be watched and stopped, or the exit code of a run that ended before that."""
    while not folder.is_alive():
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            print(plain(f"run {folder.name} has ended; `fttui watch {folder.name}` shows how", lines=False))
            return os.waitstatus_to_exitcode(status)
        time.sleep(POLL_SECONDS)
    print(plain(f"run {folder.name} trains in the background; `fttui watch {folder.name}` shows it", lines=False))
    return 0


def _keep_streams(folder: RunFolder) -> tuple[Out, Out]:
    """Keep standard output for the run's lines, and standard error for what ends it.

    What libraries print to descriptors 1 and 2 goes to the run's log.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    log = os.open(folder.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK, 0o600)  # a pipe is an error
    own = os.dup(1), os.dup(2)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)

    def write(fd: int, line: str) -> None:
        # The reader may have left (a closed pipe, a lost terminal): the run continues, its events are in the folder.
        with contextlib.suppress(OSError):
            os.write(fd, line.encode("utf-8", "replace") + b"\n")

    return partial(write, own[0]), partial(write, own[1])


def _stop_on_signals(stop: Callable[[], None]) -> list[int]:
    """Ctrl+C, SIGTERM and SIGUSR1 (schedulers) ask for a stop with a checkpoint; a lost terminal changes nothing.

    Returns the list that signals are added to as they come.
    """
    seen: list[int] = []

    def handle(signum: int, frame: FrameType | None) -> None:
        seen.append(signum)
        stop()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, handle)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    return seen
