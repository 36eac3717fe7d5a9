"""Attempts of a run in processes that are killed, and what of the run is then lost."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from backend.run.folder import RunFolder
from tests import events_on_disk

AUDITED = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link")
"""The audit events of Python that are operations on files."""
TRIES = 20
"""Attempts after which a run is given up."""


class Outcome(NamedTuple):
    """The figures and weights of a finished run, to be compared."""

    figures: frozenset[tuple[str, int, float]]
    """Event, step and loss of every step and evaluation; one that was repeated with another loss is there twice."""
    weights: dict[str, Any]
    state: str

    def differs(self, other: Outcome) -> int:
        """How many figures and tensors differ from those of `other`."""
        assert self.weights.keys() == other.weights.keys()
        tensors = sum(not bool((self.weights[name] == value).all()) for name, value in other.weights.items())
        return len(self.figures ^ other.figures) + tensors + (self.state != other.state)


def import_all() -> None:
    """Import what a run needs; torch runs nothing before the forks, as its threads would not survive them."""
    import bitsandbytes
    import peft
    import torch
    import transformers.models.llama.modeling_llama

    import backend.launch.rank_training
    import backend.training.train

    torch.set_num_threads(1)
    assert bitsandbytes and peft and transformers and backend


def train(folder: RunFolder) -> str:
    """One attempt, over as many devices as the plan says."""
    from backend.launch import launch
    from backend.run.control import Inbox

    return launch.train(folder, Inbox(folder.commands_file))


def attempt(
    folder: RunFolder, first: Callable[[], None] = lambda: None, meanwhile: Callable[[int], None] = lambda child: None
) -> int:
    """One attempt in a fork of this process; its wait status.

    `first` is called in the fork, and `meanwhile` in this process, with the fork's pid.
    """
    child = os.fork()
    if child == 0:
        first()
        os._exit(0 if train(folder) == "done" else 1)
    meanwhile(child)
    return os.waitpid(child, 0)[1]


def finish(folder: RunFolder) -> bool:
    """Resume until the run is done; False if it fails."""
    return any(os.waitstatus_to_exitcode(attempt(folder)) == 0 for _ in range(TRIES))


def outcome(folder: RunFolder) -> Outcome:
    """The outcome of the run."""
    from backend.training.saving import checkpoint

    found, _ = checkpoint.newest(folder.checkpoints)
    assert found is not None
    figures = frozenset(
        (name, event["step"], event["loss"])
        for name in ("step", "eval")
        for event in events_on_disk.read(folder.events_file, name)
    )
    ends = events_on_disk.read(folder.events_file, "run_finished")
    return Outcome(figures, found.weights(), ends[-1]["state"] if ends else "")


def before_operation(folder: RunFolder, number: int) -> Callable[[], None]:
    """Makes a process kill itself before its file operation `number` in the run's folder."""

    def first() -> None:
        left = [number]

        def hook(event: str, arguments: Sequence[object]) -> None:
            if event in AUDITED and arguments and str(arguments[0]).startswith(str(folder.path)):
                left[0] -= 1
                if left[0] < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)

    return first


def after_seconds(seconds: float, number: int = signal.SIGKILL) -> Callable[[int], None]:
    """Sends a signal to the process after so many seconds, unless it has ended."""

    def meanwhile(child: int) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and not _has_ended(child):
            time.sleep(0.002)
        if not _has_ended(child):
            os.kill(child, number)

    return meanwhile


def in_phase(folder: RunFolder, name: str, number: int = signal.SIGKILL) -> Callable[[int], None]:
    """Sends a signal to the process as soon as its events say that it is in this phase."""
    start = folder.events_file.stat().st_size if folder.events_file.exists() else 0
    wanted = f'"event":"phase","name":"{name}"'.encode()

    def meanwhile(child: int) -> None:
        while not _has_ended(child):
            if folder.events_file.exists() and wanted in folder.events_file.read_bytes()[start:]:
                os.kill(child, number)
                return
            time.sleep(0.002)

    return meanwhile


def _has_ended(child: int) -> bool:
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def descendants(pid: int) -> list[int]:
    """The processes that a process has started, and those that these have."""
    import psutil

    try:
        return [each.pid for each in psutil.Process(pid).children(recursive=True)]
    except psutil.Error:
        return []
