"""The queue's worker: starts the next run when GPUs have been free of others for a minute, one run at a time.

It is a separate process, which outlives the shell that started it but not a reboot. It ends when nothing waits.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from backend import constants, paths, settings
from backend.errors import UserError, exit_code
from backend.hardware import Gpu, detect
from backend.launch import launch, several
from backend.launch.queue import waiting
from backend.launch.several import RankOutcome
from backend.plan.job import Job
from backend.run import history, plan_file
from backend.run.folder import RunFolder, all_runs, take_lock

FREE_SECONDS = 60.0
"""A GPU must be free for so long: another program may only be between two of its runs."""
LOOK_SECONDS = 5.0
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK


def is_working() -> bool:
    """Whether a worker lives."""
    try:
        fd = os.open(_lock_file(), os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def start() -> None:
    """Start a worker in the background, away from this terminal, unless one lives.

    Raises UserError for settings that can't be read, with which no run starts.
    """
    settings.load()
    if is_working():
        return
    path = paths.home() / "queue.log"
    # A pipe in its place is an error: without O_NONBLOCK it would be waited for until somebody reads.
    with paths.kept_in(path):
        log = os.open(path, _APPEND, 0o600)
    command = [sys.executable, "-m", "backend.launch.queue.worker"]
    try:
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    finally:
        os.close(log)


def main() -> None:
    """Work until nothing waits; returns at once if another worker does. With a folder: train that run to its end."""
    if len(sys.argv) > 1:
        sys.exit(_alone(RunFolder(Path(sys.argv[1]))))
    while waiting.names():  # asked again when the lock is given back: a run may have come meanwhile
        fd = os.open(_lock_file(), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if not take_lock(fd):
                return
            work()
        except UserError as error:  # the runs wait: each would end at once
            print(error, flush=True)
            return
        finally:
            os.close(fd)


def work() -> None:
    """Start the waiting runs in order, one after the other, each when there is room for it.

    Raises UserError for settings that can't be read, and for a list that can't be written to.
    """
    since: dict[str, float] = {}
    while names := waiting.names():
        settings.load()
        folder = RunFolder(paths.runs() / names[0])
        try:
            job = folder.job()
        except UserError as error:
            print(f"{names[0]} is left out: {error}", flush=True)
            waiting.take(names[0])
            continue
        if began := _began(folder):
            print(f"{names[0]} is left out: {began}", flush=True)
            waiting.take(names[0])
            continue
        gpus = detect().gpus
        if lacks := _lacks(job, gpus):
            print(f"{names[0]} is left out: {lacks}", flush=True)
            waiting.take(names[0])
            with suppress(OSError):
                several.tell(folder, job, RankOutcome(lacks, wrong_input=True))
            continue
        chosen = _chosen(job, _free(gpus, since))
        if chosen is None:
            time.sleep(LOOK_SECONDS)
            continue
        if waiting.take(names[0]):  # else it was taken out meanwhile
            try:
                train(folder, job, chosen)
            except OSError as error:  # the others may be whole
                print(f"{names[0]} can't be started: {error}", flush=True)
                folder.note_failure(f"the run's files can't be written: {error}")
            since.clear()


def _began(folder: RunFolder) -> str:
    """Why a run need not be started any more (the user resumed it while it waited); else empty."""
    if folder.is_alive():
        return "it is being trained"
    return "it is done" if history.read(folder.events_file).state == "done" else ""


def _lacks(job: Job, gpus: Sequence[Gpu]) -> str:
    """Why this box can't train the job, however long it waits; empty if it can, or if its driver shows no GPU now."""
    count = job.plan.processes
    there = set(job.device_uuids) <= {gpu.uuid for gpu in gpus} or len(_fitting(job, gpus)) >= count
    if job.device != "cuda" or not gpus or there:
        return ""
    what = f"the run was planned for {count} {job.device_name}"
    return f"{what}, and this box has {len(_fitting(job, gpus))} on which it fits; plan it again"


def _fitting(job: Job, gpus: Sequence[Gpu]) -> list[Gpu]:
    """GPUs with the memory that was predicted for the run."""
    peak = job.predicted.peak_bytes if job.predicted else 0
    return [gpu for gpu in gpus if gpu.memory_bytes is None or gpu.memory_bytes >= peak]


def _free(gpus: Sequence[Gpu], since: dict[str, float]) -> list[Gpu]:
    """GPUs that have been free for a minute; `since` keeps when each was first seen free."""
    now = time.monotonic()
    idle = {gpu.uuid for gpu in gpus if is_free(gpu)}
    for uuid in [x for x in since if x not in idle]:
        del since[uuid]
    for uuid in idle:
        since.setdefault(uuid, now)
    return [gpu for gpu in gpus if gpu.uuid in since and now - since[gpu.uuid] >= FREE_SECONDS]


def is_free(gpu: Gpu) -> bool:
    """Nothing computes on it, and nearly all of its memory is free."""
    if any(process.computes for process in gpu.processes):
        return False
    if gpu.memory_bytes is None or gpu.free_bytes is None:
        return True
    idle = constants.methods().several.idle  # a driver or a desktop keeps a little
    return gpu.free_bytes >= idle * (gpu.memory_bytes - (gpu.reserved_bytes or 0))


def _chosen(job: Job, free: Sequence[Gpu]) -> tuple[str, ...] | None:
    """The GPUs (by UUID) that the run starts on now; None to wait.

    A run on the CPU waits until no other run trains here.
    """
    if job.device != "cuda":
        return None if any(run.is_alive() for run in all_runs()) else ()
    count = job.plan.processes
    planned = job.device_uuids
    if planned and set(planned) <= {gpu.uuid for gpu in free}:
        return planned
    others = [gpu.uuid for gpu in _fitting(job, free)]
    return tuple(others[:count]) if len(others) >= count else None


def train(folder: RunFolder, job: Job, uuids: tuple[str, ...]) -> None:
    """Train a run to its end on these GPUs, in a process of its own that gives the memory back."""
    if uuids and uuids != job.device_uuids:
        plan_file.write(folder.plan_file, replace(job, device_uuids=uuids))
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} starting {folder.name}", flush=True)
    with folder.log_file.open("ab") as log:
        command = [sys.executable, "-m", "backend.launch.queue.worker", str(folder.path)]
        code = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False).returncode
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {folder.name} ended with code {code}", flush=True)


def _alone(folder: RunFolder) -> int:
    """Train in this process; signals stop it with a checkpoint. Returns the exit code."""
    trainer = launch.start(folder)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, lambda *_: trainer.stop())
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    trainer.join()
    return exit_code(trainer.state)


def _lock_file() -> Path:
    return paths.home() / "queue.worker"


if __name__ == "__main__":
    main()
