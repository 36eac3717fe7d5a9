"""A run over several devices: one process (rank) for each, which start and end together.

The ranks write what happens to the run folder, as a single trainer would. This process starts them, ends all if one has
died, restarts all with leaner settings if one ran out of memory, and reports in one sentence why they failed. It loads
no torch.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from backend import signals, typed
from backend.errors import UserError
from backend.hardware import host, visible
from backend.launch.stalled import Stalled
from backend.measured import ran_out
from backend.plan.job import Job
from backend.run.control import Inbox
from backend.run.event_log import EventLog, EventTail
from backend.run.events import Logged, OutOfMemory, PlanChanges, Replanned, RunFinished
from backend.run.folder import RunFolder
from backend.training import allocator

VISIBLE_AT_START = os.environ.get(visible.VARIABLE)
"""The variable as the user has set it: a run on one GPU changes it in this process (backend/training/device.py)."""
CHILD = (sys.executable, "-m", "backend.launch.rank")
MOST_PROCESSES = 64
"""On one box: four times as many as the largest has GPUs."""
MEETING = "meeting"
"""The file by which ranks find each other."""
FAILED, START_AGAIN = 4, 5
"""Exit codes of a rank that has written its outcome."""
LATE = 6
"""Exit code of a rank that has not found the others in time."""
POLL_SECONDS = 0.1
GRACE_SECONDS = 5.0
"""After one rank has failed, the others have this long to report the same; then they are killed."""


class RankOutcome(msgspec.Struct, frozen=True):
    """Why a rank ended."""

    text: str
    """A sentence for the user: what failed; or what changes, in a few words."""
    ran_out: str = ""
    """During what memory ran out, and the error; empty for other failures."""
    during: str = ""
    step: int = 0
    changed: PlanChanges = {}
    """Plan fields that all ranks are restarted with; empty if the run is over."""
    wrong_input: bool = False
    """The user's input is wrong (exit code 2), not the run."""

    def write(self, scratch: Path, rank: int) -> None:
        """Write it for the parent."""
        (scratch / f"verdict-{rank}").write_bytes(msgspec.json.encode(self))


def train(folder: RunFolder, inbox: Inbox, say: Callable[[str], None] = lambda text: None) -> str:
    """Train `folder` on as many devices as its plan says. Returns done, stopped, paused or failed.

    Every failure is written to the run's events, unless another process is training the run. `say` gets its sentence
    too: a full disk takes no event.
    """
    try:
        with folder.hold():
            return _held(folder, inbox, say)
    except UserError as error:
        say(str(error))
        return "failed"


def _held(folder: RunFolder, inbox: Inbox, say: Callable[[str], None]) -> str:
    job = folder.job()
    if (count := job.plan.processes) > MOST_PROCESSES:  # no command line takes it; plan.toml was edited
        fix = f"`fttui resume {folder.name} --processes N` takes another number"
        refused = RankOutcome(f"processes: no box has devices for {count:,}; {fix}", wrong_input=True)
        with suppress(OSError):
            tell(folder, job, refused)
        say(refused.text)
        return "failed"
    while True:
        begins = size(folder.events_file)
        try:
            verdict = _attempt(folder, job, inbox.since)
            ended = _end(folder, begins)
            if ended or verdict is None:  # a rank that has written the end may still crash afterwards
                return ended or "failed"
            if verdict.changed:
                adjust(folder, job, verdict)
        except OSError as error:
            verdict = RankOutcome(f"the devices' processes can't be started or restarted: {error}")
        with suppress(OSError):  # the disk may be full for events too
            tell(folder, job, verdict)
        if not verdict.changed:
            say(verdict.text)
            return "failed"


def adjust(folder: RunFolder, job: Job, verdict: RankOutcome) -> None:
    """Save what all ranks are restarted with. Raises OSError: without it they would run out of memory again."""
    if not folder.adjusted():
        ran_out.remember(job)
    folder.adjust(verdict.changed)


def tell(folder: RunFolder, job: Job, verdict: RankOutcome) -> None:
    """Write why the ranks ended to the run's events. Raises OSError (disk full)."""
    log = EventLog(folder.events_file)
    if verdict.ran_out:
        log.write(OutOfMemory(step=verdict.step, during=verdict.during, text=verdict.ran_out))
    if verdict.changed:
        text = f"all {job.plan.processes} devices start again from the last checkpoint with less memory: {verdict.text}"
        log.write(Replanned(step=verdict.step, changed=verdict.changed, text=text))
    else:
        log.write(Logged(level="error", text=verdict.text))
        wrong = True if verdict.wrong_input else None
        log.write(RunFinished(state="failed", error=verdict.text, wrong_input=wrong, step=last_step(folder)))
    log.close()


def _attempt(folder: RunFolder, job: Job, since: int) -> RankOutcome | None:
    """Start all ranks and wait for their end; None if all ended well."""
    if job.device == "cuda":
        allocator.settle()  # once for all of them
    with tempfile.TemporaryDirectory(prefix="fttui-ranks-") as scratch:
        ranks = [_started(folder, job, rank, Path(scratch), since) for rank in range(job.plan.processes)]
        try:
            first = _watched(ranks, Stalled(folder))
        finally:
            for process in ranks:
                process.kill()
                process.wait()
                assert process.stdin is not None
                process.stdin.close()
        return _verdict(Path(scratch), first)


def _started(folder: RunFolder, job: Job, rank: int, scratch: Path, since: int) -> subprocess.Popen[bytes]:
    """Start a rank in a session of its own, away from the terminal; it ends when its standard input closes.

    Signals from outside are not for it: this process passes them on as commands.
    """
    count = job.plan.processes
    command = [*CHILD, str(folder.path), str(rank), str(count), str(scratch), str(since)]
    environment = {name: value for name, value in os.environ.items() if name != visible.VARIABLE}
    if VISIBLE_AT_START is not None:
        environment[visible.VARIABLE] = VISIBLE_AT_START
    if job.device == "cpu":
        _share_threads(environment, count)
    with folder.log_file.open("ab") as log, signals.blocked():
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True, env=environment
        )


def _share_threads(environment: dict[str, str], count: int) -> None:
    """Give each rank its share of the cores, unless the user has set the number of threads."""
    quota = host.threads_by_quota()
    if environment.get(host.THREADS) in (None, str(quota)):  # equal to the quota: set by this trainer, not the user
        environment[host.THREADS] = str(max(1, (quota or os.cpu_count() or 1) // count))


def _watched(ranks: list[subprocess.Popen[bytes]], stalled: Stalled) -> list[int]:
    """Wait until all have ended well, or one badly: the exit codes of those that failed first, 0 for the others."""
    first: list[int] = []
    until = math.inf
    while True:
        codes = [process.poll() for process in ranks]
        if not first and any(codes):
            first, until = [code or 0 for code in codes], time.monotonic() + GRACE_SECONDS
        if None not in codes or time.monotonic() > until:
            return first
        stalled.look([process.pid for process in ranks])
        time.sleep(POLL_SECONDS)


def _verdict(scratch: Path, first: list[int]) -> RankOutcome | None:
    """Why the ranks ended, `first` the exit codes of those that failed first; None if none failed.

    A rank that ran out of memory takes precedence, since that can be fixed. If one dies, the others fail soon after.
    """
    if not first:
        return None
    files = sorted(scratch.glob("verdict-*"), key=lambda file: file.stat().st_mtime_ns)
    found = [typed.from_json(file.read_bytes(), RankOutcome) for file in files]
    if lean := next((verdict for verdict in found if verdict.ran_out), None):
        return lean
    died = [rank for rank, code in enumerate(first) if code not in (0, FAILED, START_AGAIN)]
    return RankOutcome(_died(died[0], first[died[0]], len(first))) if died or not found else found[0]


def _died(rank: int, code: int, count: int) -> str:
    """The sentence for a process that wrote no outcome."""
    who = f"the process of device {rank + 1} of {count}"
    if code == LATE:
        return f"the processes of the {count} devices did not find each other; `fttui resume` tries again"
    if code == -9:
        return f"{who} was killed, most likely since the memory of this box ran out; `fttui resume` goes on"
    return f"{who} died (exit code {code}); the run's trainer.log may say why; `fttui resume` goes on"


def _end(folder: RunFolder, begins: int) -> str | None:
    """The end state that the ranks have written to the events from byte `begins` on; None if there is none."""
    ends = [event for event in EventTail(folder.events_file, begins).events() if isinstance(event, RunFinished)]
    return ends[-1].state if ends else None


def last_step(folder: RunFolder) -> int:
    """The step of the newest checkpoint; 0 if there is none."""
    numbers = (path.name.removeprefix("step-") for path in folder.checkpoints.glob("step-*"))
    return max((int(number) for number in numbers if number.isdecimal()), default=0)


def size(file: Path) -> int:
    """Bytes; 0 if it is not there."""
    return file.stat().st_size if file.exists() else 0
