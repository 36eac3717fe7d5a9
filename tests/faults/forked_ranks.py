"""Ranks that are forks of a process that has imported everything, so that a kill costs seconds and falls on the run."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import BinaryIO

from backend import signals
from backend.launch import rank, several
from backend.plan.job import Job
from backend.run.folder import RunFolder

_MOST_FILES = 4096


def use() -> None:
    """From now on this process starts its ranks as forks."""
    several._started = _started  # type: ignore[assignment]


class Forked:
    """The part of a process that `several` uses."""

    def __init__(self, pid: int, stdin: BinaryIO) -> None:
        self.pid, self.stdin = pid, stdin
        self.returncode: int | None = None

    def poll(self) -> int | None:
        return self.wait(os.WNOHANG)

    def wait(self, options: int = 0) -> int | None:
        if self.returncode is None:
            ended, status = os.waitpid(self.pid, options)
            self.returncode = os.waitstatus_to_exitcode(status) if ended else None
        return self.returncode

    def kill(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)


def _started(folder: RunFolder, job: Job, number: int, scratch: Path, since: int) -> Forked:
    reader, writer = os.pipe()
    with signals.blocked():
        child = os.fork()
        if child == 0:
            _become(folder, job, number, scratch, since, reader)
    os.close(reader)
    return Forked(child, os.fdopen(writer, "wb"))


def _become(folder: RunFolder, job: Job, number: int, scratch: Path, since: int, reader: int) -> None:
    """In the fork: behave like a newly started process, without its parent's open files; does not return."""
    os.setsid()
    os.dup2(reader, 0)
    with folder.log_file.open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    os.closerange(3, _MOST_FILES)  # such as the run's lock, and the pipes that other ranks end with
    sys.argv = ["rank", str(folder.path), str(number), str(job.plan.processes), str(scratch), str(since)]
    rank.main()
