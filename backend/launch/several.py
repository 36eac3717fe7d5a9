"""A run over several devices: one process for each, which live and die together.

The devices' processes (ranks) write what happens to the run folder, as a single trainer would. This one starts them,
ends all where one has died, starts all again with leaner settings where one ran out of memory, and tells in one
sentence what they failed of. It loads no torch.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import msgspec

from backend import typed
from backend.errors import UserError
from backend.hardware import visible
from backend.measured import ran_out
from backend.plan.job import Job
from backend.run.control import Inbox
from backend.run.events import EventLog, Tail
from backend.run.folder import RunFolder

VISIBLE_AT_START = os.environ.get(visible.VARIABLE)
"""As the user has set it: a run on one GPU narrows it in this process (backend/training/device.py)."""
CHILD = (sys.executable, "-m", "backend.launch.rank")
MEETING = "meeting"
"""The file by which ranks find each other."""
FAILED, START_AGAIN = 4, 5
"""Exit codes of a rank; both leave a verdict."""
POLL_SECONDS = 0.1
GRACE_SECONDS = 5.0
"""After one rank has failed the others may have the same to say; then they are ended."""


class RankOutcome(msgspec.Struct, frozen=True):
    """What a rank came to its end by."""

    text: str
    """A sentence for the user: what failed; or what changes, in a few words."""
    ran_out: str = ""
    """Where memory ran out, and by what; empty for other failures."""
    during: str = ""
    step: int = 0
    changed: dict[str, int | bool | str] = {}
    """Plan fields that all ranks start again with; empty where the run is over."""

    def write(self, scratch: Path, rank: int) -> None:
        """Leave it for the parent."""
        (scratch / f"verdict-{rank}").write_bytes(msgspec.json.encode(self))


def train(folder: RunFolder, inbox: Inbox) -> str:
    """Train `folder` on as many devices as its plan says: done, stopped, paused or failed.

    Every failure is told in the run's events; where another process trains it, they are not ours to write.
    """
    try:
        with folder.hold():
            return _held(folder, inbox)
    except UserError:
        return "failed"


def _held(folder: RunFolder, inbox: Inbox) -> str:
    job = folder.job()
    while True:
        begins = _size(folder.events_file)
        try:
            verdict = _one_life(folder, job, inbox.since)
            ended = _end(folder, begins)
            if ended or verdict is None:  # who has told the end may die of what comes after
                return ended or "failed"
            if verdict.changed:
                _adjust(folder, job, verdict)
        except OSError as error:
            verdict = RankOutcome(f"the devices' processes can't be started or told what changes: {error}")
        with suppress(OSError):  # a full disk takes no event either
            _tell(folder, job, verdict)
        if not verdict.changed:
            return "failed"


def _adjust(folder: RunFolder, job: Job, verdict: RankOutcome) -> None:
    """What all start again with, and what this box remembers. Raises OSError: it would run out the same way again."""
    if not folder.adjusted():
        ran_out.remember(job)
    folder.adjust(verdict.changed)


def _tell(folder: RunFolder, job: Job, verdict: RankOutcome) -> None:
    log = EventLog(folder.events_file)
    if verdict.ran_out:
        log.write("oom", step=verdict.step, during=verdict.during, text=verdict.ran_out)
    if verdict.changed:
        text = f"all {job.plan.processes} devices start again from the last checkpoint with less memory: {verdict.text}"
        log.write("replanned", step=verdict.step, changed=verdict.changed, text=text)
    else:
        log.write("log", level="error", text=verdict.text)
        log.write("run_finished", state="failed", error=verdict.text, step=last_step(folder))
    log.close()


def _one_life(folder: RunFolder, job: Job, since: int) -> RankOutcome | None:
    """Start all ranks and wait for their end; None where they came to a good one."""
    with tempfile.TemporaryDirectory(prefix="fttui-ranks-") as scratch:
        ranks = [_started(folder, job, rank, Path(scratch), since) for rank in range(job.plan.processes)]
        try:
            first = _watched(ranks)
        finally:
            for process in ranks:
                process.kill()
                process.wait()
                assert process.stdin is not None
                process.stdin.close()
        return _verdict(Path(scratch), first)


def _started(folder: RunFolder, job: Job, rank: int, scratch: Path, since: int) -> subprocess.Popen[bytes]:
    """A rank; out of the terminal's reach, it ends when its standard input closes."""
    count = job.plan.processes
    command = [*CHILD, str(folder.path), str(rank), str(count), str(scratch), str(since)]
    environment = {name: value for name, value in os.environ.items() if name != visible.VARIABLE}
    if VISIBLE_AT_START is not None:
        environment[visible.VARIABLE] = VISIBLE_AT_START
    if job.device == "cpu":
        environment.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // count)))
    with folder.log_file.open("ab") as log:
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True, env=environment
        )


def _watched(ranks: list[subprocess.Popen[bytes]]) -> list[int]:
    """Wait until all have ended well, or one badly: exit codes of those that were the first to, 0 for the others."""
    first: list[int] = []
    until = math.inf
    while True:
        codes = [process.poll() for process in ranks]
        if not first and any(codes):
            first, until = [code or 0 for code in codes], time.monotonic() + GRACE_SECONDS
        if None not in codes or time.monotonic() > until:
            return first
        time.sleep(POLL_SECONDS)


def _verdict(scratch: Path, first: list[int]) -> RankOutcome | None:
    """Why a life ended, `first` the exit codes of those that failed first; None where nobody did.

    What would let it fit goes before all else. Where one dies the others fail of losing it, a moment later.
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
    """A process that ended without a word."""
    who = f"the process of device {rank + 1} of {count}"
    if code == -9:
        return f"{who} was killed, most likely since the memory of this box ran out; `fttui resume` goes on"
    return f"{who} died (exit code {code}); the run's trainer.log may say why; `fttui resume` goes on"


def _end(folder: RunFolder, begins: int) -> str | None:
    """The state that the ranks have told since their events began at byte `begins`; None where they have told none."""
    ends = [event for event in Tail(folder.events_file, begins).events() if event["event"] == "run_finished"]
    return str(ends[-1]["state"]) if ends else None


def last_step(folder: RunFolder) -> int:
    """The step of the newest checkpoint; 0 if there is none."""
    return max((int(path.name.removeprefix("step-")) for path in folder.checkpoints.glob("step-*")), default=0)


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0
