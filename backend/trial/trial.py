"""Trials: a few real steps of each method on the user's model and data, measured one after the other.

Each runs the unchanged trainer in a process of its own (backend/trial/child.py), so that memory is free again before
the next one and a crash harms nothing. What is measured corrects this box's predictions by the same rules as any run;
everything else is removed.
"""

from __future__ import annotations

import fcntl
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from backend import constants, paths
from backend.answers import Method
from backend.errors import UserError
from backend.plan.job import Job
from backend.planner.estimates import Comparison
from backend.run import control, plan_file
from backend.run.event_log import EventTail
from backend.run.events import StepDone
from backend.run.folder import RunFolder, all_runs
from backend.run.history import History
from backend.trial import found as trial_found
from backend.trial.found import TrialResult
from backend.trial.plan import Trial

CHILD = (sys.executable, "-m", "backend.trial.child")
POLL_SECONDS = 0.2


@dataclass(frozen=True)
class TrialProgress:
    """How far a trial is."""

    method: Method
    phase: str
    """As in `History`: waiting until the trainer is loaded, then data, load, eval, train ..."""
    step: int
    steps: int
    seconds: float
    """Since this method's trial began."""


Tell = Callable[[TrialProgress], None]
"""Called a few times a second; an exception from it ends the trial."""


def refuse_beside_a_run(job: Job) -> None:
    """Raise UserError if a run is training on the job's device: the two would slow each other down."""
    for run in all_runs():
        if run.is_alive() and _may_share_a_device(run, job):
            raise UserError(
                f"run {run.name} is training on this device, and a trial at the same time would measure wrong figures; "
                "wait for its end or stop it",
                "trial",
            )


def _may_share_a_device(run: RunFolder, other: Job) -> bool:
    """Whether both use the same GPU, or both the CPU; a run whose plan can't be read may be on any device."""
    try:
        one = run.job()
    except UserError:
        return True
    return bool(set(one.device_uuids) & set(other.device_uuids)) or one.device_uuids == other.device_uuids


def run(comparison: Comparison, trials: Sequence[Trial], tell: Tell) -> dict[Method, TrialResult]:
    """Make `trials` of what was compared, one after the other, which takes minutes.

    Raises UserError if another trial is running. However it ends, no process and no file is left.
    """
    with _alone() as home:
        return {trial.method: _tried(comparison, trial, home, tell) for trial in trials}


def _tried(comparison: Comparison, trial: Trial, home: Path, tell: Tell) -> TrialResult:
    began = time.monotonic()
    folder = _folder(home, trial.job)
    try:
        failure = _watched(trial, folder, tell)
        return trial_found.found(comparison, trial, folder, time.monotonic() - began, failure)
    finally:
        shutil.rmtree(folder.path, ignore_errors=True)


def _folder(home: Path, job: Job) -> RunFolder:
    """A run folder that is not among the user's runs; its name appears in the record of what was measured."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    folder = RunFolder(Path(tempfile.mkdtemp(prefix=f"trial-{stamp}-{job.plan.method}-", dir=home)))
    folder.checkpoints.mkdir(mode=0o700)
    plan_file.write(folder.plan_file, job)
    return folder


def _watched(trial: Trial, folder: RunFolder, tell: Tell) -> str:
    """Run it to its end; returns why it was killed, in a sentence, or an empty string."""
    process, clock, time_up = _started(folder), _Patience(trial, folder), _EqualTime(trial, folder)
    past, began = History(folder.events_file), time.monotonic()
    try:
        while process.poll() is None and not past.finished:
            past.poll()
            tell(TrialProgress(trial.method, past.phase, past.step, trial.steps, time.monotonic() - began))
            time_up.look()
            if clock.is_over(past):
                return f"it was ended after {past.step} of {trial.steps} steps: it took far longer than predicted"
            time.sleep(POLL_SECONDS)
    finally:
        process.kill()
        process.wait()
        assert process.stdin is not None
        process.stdin.close()
    return _crash(process.returncode, folder)


def _started(folder: RunFolder) -> subprocess.Popen[bytes]:
    """Start the process in a session of its own, away from the terminal; it ends when its standard input closes."""
    command = [*CHILD, str(folder.path)]
    with folder.log_file.open("ab") as log:
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True)


def _crash(code: int, folder: RunFolder) -> str:
    """The sentence for a process that died before its trainer wrote an end; else an empty string."""
    past = History(folder.events_file)
    past.poll()
    if past.finished:
        return ""
    if code == -9:
        return "its process was killed, most likely since the memory of this box ran out"
    return f"its process died (exit code {code}) without a word"


class _EqualTime:
    """Ends a trial when its steps have taken as long as those of the other methods."""

    def __init__(self, trial: Trial, folder: RunFolder) -> None:
        self._seconds, self._folder = trial.train_seconds, folder
        self._tail, self._took = EventTail(folder.events_file), list[float]()

    def look(self) -> None:
        """Ask for the last step if there is no time for two more."""
        if self._seconds is None:
            return
        steps = (event for event in self._tail.events() if isinstance(event, StepDone))
        self._took += [step.step_seconds for step in steps if step.step_seconds is not None]
        if len(self._took) + 1 < constants.trial().least_steps or not self._took:
            return
        if sum(self._took) + 1.5 * statistics.median(self._took) >= self._seconds:
            control.send(self._folder.commands_file, "finish")
            self._seconds = None


class _Patience:
    """Asks a trial that is far slower than predicted to stop at its next step; if it goes on, has it killed."""

    def __init__(self, trial: Trial, folder: RunFolder) -> None:
        table = constants.trial().patience
        predicted = 0.0 if math.isnan(trial.seconds) else trial.seconds
        self._stop_after = max(table.least_seconds, table.stop * predicted)
        self._kill_after = self._stop_after * table.kill
        self._folder = folder
        self._since: float | None = None
        self._asked = False

    def is_over(self, past: History) -> bool:
        """The process should be killed. The time counts from loading on: downloads are not the trial's fault."""
        if past.phase in ("waiting", "data"):
            return False
        now = time.monotonic()
        self._since = self._since or now
        if now - self._since > self._stop_after and not self._asked:
            control.send(self._folder.commands_file, "stop")
            self._asked = True
        return now - self._since > self._kill_after


@contextmanager
def _alone() -> Iterator[Path]:
    """Lock the folder of trials and remove what a killed one left. Raises UserError if another process holds it."""
    home = paths.home() / "trials"
    with paths.kept_in(home):
        home.mkdir(mode=0o700, exist_ok=True)
        fd = os.open(home / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _lock(fd)
        for left in home.glob("trial-*"):
            shutil.rmtree(left, ignore_errors=True)
        yield home
    finally:
        os.close(fd)


def _lock(fd: int) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UserError("another trial is running on this box; wait for its end", "trial") from None
