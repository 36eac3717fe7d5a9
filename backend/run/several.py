"""A run over several devices: one process for each, which live and die together.

The devices' processes (ranks) write what happens to the run folder, as a single trainer would. This one starts them,
ends all where one has died, starts all again with leaner settings where one ran out of memory, and tells in one
sentence what they failed of. It loads no torch.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import msgspec

from backend.errors import UserError
from backend.planner import ran_out
from backend.run.control import Inbox
from backend.run.events import Event, EventLog, Tail
from backend.run.folder import RunFolder
from backend.run.job import Job

CHILD = (sys.executable, "-m", "backend.training.rank")
MEETING = "meeting"
"""The file by which ranks find each other."""
FAILED, START_AGAIN = 4, 5
"""Exit codes of a rank; both leave a verdict."""
POLL_SECONDS = 0.1
GRACE_SECONDS = 5.0
"""After one rank has failed the others may have the same to say; then they are ended."""


class Verdict(msgspec.Struct, frozen=True):
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
    job, begins = folder.job(), _size(folder.events_file)
    while True:
        try:
            verdict = _one_life(folder, job, inbox.since)
        except OSError as error:
            verdict = Verdict(f"the devices' processes could not be started: {error}")
        if verdict is None:
            return _state(folder, begins)
        log = EventLog(folder.events_file)
        with suppress(OSError):  # a full disk takes no event either
            _tell(folder, job, verdict, log)
        log.close()
        if not verdict.changed:
            return "failed"


def _tell(folder: RunFolder, job: Job, verdict: Verdict, log: EventLog) -> None:
    if verdict.ran_out:
        log.write("oom", step=verdict.step, during=verdict.during, text=verdict.ran_out)
    if not verdict.changed:
        log.write("log", level="error", text=verdict.text)
        log.write("run_finished", state="failed", error=verdict.text, step=verdict.step)
        return
    if not folder.adjusted():
        ran_out.remember(job)
    folder.adjust(verdict.changed)
    text = f"all {job.plan.processes} devices start again from the last checkpoint with less memory: {verdict.text}"
    log.write("replanned", step=verdict.step, changed=verdict.changed, text=text)


def _one_life(folder: RunFolder, job: Job, since: int) -> Verdict | None:
    """Start all ranks and wait for their end; None where they came to a good one."""
    with tempfile.TemporaryDirectory(prefix="fttui-ranks-") as scratch:
        ranks = [_started(folder, job, rank, Path(scratch), since) for rank in range(job.plan.processes)]
        try:
            codes = _watched(ranks)
        finally:
            for process in ranks:
                process.kill()
                process.wait()
                assert process.stdin is not None
                process.stdin.close()
        return _verdict(Path(scratch), codes)


def _started(folder: RunFolder, job: Job, rank: int, scratch: Path, since: int) -> subprocess.Popen[bytes]:
    """A rank; out of the terminal's reach, it ends when its standard input closes."""
    count = job.plan.processes
    command = [*CHILD, str(folder.path), str(rank), str(count), str(scratch), str(since)]
    environment = dict(os.environ)
    if job.device == "cpu":
        environment.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // count)))
    with folder.log_file.open("ab") as log:
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True, env=environment
        )


def _watched(ranks: list[subprocess.Popen[bytes]]) -> list[int | None]:
    """Exit codes once all have ended well, or one badly; None for one that had not ended then."""
    failed_at: float | None = None
    while True:
        codes = [process.poll() for process in ranks]
        if None not in codes:
            return list(codes)
        if failed_at is None and any(codes):
            failed_at = time.monotonic()
        if failed_at is not None and time.monotonic() - failed_at > GRACE_SECONDS:
            return list(codes)
        time.sleep(POLL_SECONDS)


def _verdict(scratch: Path, codes: list[int | None]) -> Verdict | None:
    """Of the ranks that failed the one that knows most: what would let it fit, else what went wrong, else how it died.

    Where one dies the others fail of losing it, a moment later.
    """
    if not any(codes):
        return None
    found = [_read(file) for file in sorted(scratch.glob("verdict-*"), key=lambda file: file.stat().st_mtime_ns)]
    killed = [rank for rank, code in enumerate(codes) if code not in (0, None, FAILED, START_AGAIN)]
    if killed:
        return Verdict(_died(killed[0], codes[killed[0]], len(codes)))
    return next((verdict for verdict in found if verdict.ran_out), found[0])


def _read(file: Path) -> Verdict:
    return msgspec.json.decode(file.read_bytes(), type=Verdict)


def _died(rank: int, code: int | None, count: int) -> str:
    """A process that ended without a word."""
    who = f"the process of device {rank + 1} of {count}"
    if code == -9:
        return f"{who} was killed, most likely since the memory of this box ran out; `fttui resume` goes on"
    return f"{who} died (exit code {code}); the run's trainer.log may say why; `fttui resume` goes on"


def _state(folder: RunFolder, begins: int) -> str:
    """What the ranks wrote last."""
    ends = [event for event in _events(folder, begins) if event["event"] == "run_finished"]
    return str(ends[-1]["state"]) if ends else "failed"


def _events(folder: RunFolder, begins: int) -> list[Event]:
    return list(Tail(folder.events_file, begins).events())


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0
