"""A run's folder: plan.toml, events.jsonl, commands.jsonl, trainer.log, checkpoints/ and result/."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from backend import atomic, paths, typed
from backend.errors import UserError
from backend.plan import fields
from backend.plan.job import Job
from backend.run import plan_file

_LONG_BYTES = 8 << 20
"""About 60,000 events, which take a tenth of a second to read."""
_NOTE_BYTES = 1024
"""Size of the lock file, which holds why the last attempt failed, or zeros."""


class RunFolder:
    """One run on disk. Whether it is running is decided by a lock that its process holds, never by a pid."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name
        self.plan_file = path / "plan.toml"
        self.events_file = path / "events.jsonl"
        self.commands_file = path / "commands.jsonl"
        self.log_file = path / "trainer.log"
        self.checkpoints = path / "checkpoints"
        self.result = path / "result"
        self._lock_file = path / "lock"
        self._adjusted_file = path / "adjusted.json"

    @classmethod
    def create(cls, job: Job) -> RunFolder:
        """Make the folder (mode 0700) for `job` and write its plan.toml, or leave nothing.

        Raises HomeUnusable, with the exit code 4 if the disk is full.
        """
        model = re.sub(r"[^A-Za-z0-9.]+", "-", Path(job.model).name).strip("-") or "model"
        stem = f"{time.strftime('%Y%m%d-%H%M%S')}-{model[:40]}-{job.plan.method}"
        with paths.kept_in(paths.runs()):
            folder = cls(_new(paths.runs(), stem))
            try:
                folder.checkpoints.mkdir(mode=0o700)
                plan_file.write(folder.plan_file, job)
                folder._lock_file.write_bytes(bytes(_NOTE_BYTES))  # the room that `note_failure` needs
            except OSError:
                shutil.rmtree(folder.path, ignore_errors=True)
                raise
        return folder

    @classmethod
    def find(cls, reference: str | None = None) -> RunFolder:
        """The run of this name, unique part of a name, or path; the latest if none is given.

        Raises UserError if there is none, or several.
        """
        known = all_runs()
        if reference is None:
            if not known:
                raise UserError("no run has been made on this box yet; `fttui` or `fttui train` makes one", "run")
            return known[0]
        if not reference.strip():  # e.g. a shell variable that is not set: it would match every run
            raise UserError("the run's name is empty; give a part of it, or leave it out for the latest", "run")
        as_path = paths.existing(reference, "run")
        if as_path is not None and (as_path / "plan.toml").is_file():
            return cls(as_path.resolve())
        matches = [run for run in known if run.name == reference] or [run for run in known if reference in run.name]
        if not matches:
            raise UserError(f"no run is called {reference!r}; `fttui runs` lists them", "run")
        if len(matches) > 1:
            names = ", ".join(run.name for run in matches[:4])
            raise UserError(f"{reference!r} fits {len(matches)} runs: {names}; give more of the name", "run")
        return matches[0]

    @property
    def reference(self) -> str:
        """What a command takes for this run: its name, or its path if it lies elsewhere than the runs of this box."""
        is_listed = self.path.resolve().parent == (paths.home() / "runs").resolve()
        return self.name if is_listed else str(self.path)

    def job(self) -> Job:
        """What plan.toml says. Raises UserError if it is missing or damaged."""
        return plan_file.read(self.plan_file)

    def adjusted(self) -> dict[str, int | bool | float | str]:
        """Plan fields that were changed after running out of memory, for which all ranks had to start again.

        Empty if the file is damaged: memory then runs out again, and the fields are changed again.
        """
        try:
            found = typed.read_json(self._adjusted_file, dict[str, int | bool | float | str])
            return {key: fields.parse(key, value) for key, value in found.items()}
        except (typed.Damaged, UserError):
            return {}

    def adjust(self, changed: Mapping[str, int | bool | float | str]) -> None:
        """Change plan fields for every later start. Raises OSError (disk full)."""
        atomic.write(self._adjusted_file, msgspec.json.encode({**self.adjusted(), **changed}))

    def start_again(self) -> Path | None:
        """Put all checkpoints aside, so that training begins at step 0; where they are, None if there are none.

        Raises OSError.
        """
        if not any(self.checkpoints.glob("step-*")):
            return None
        number = 1
        while (aside := self.path / f"checkpoints-before-{number}").exists():
            number += 1
        self.checkpoints.rename(aside)
        self.checkpoints.mkdir(mode=0o700)
        return aside

    def has_long_history(self) -> bool:
        """Whether its events take a while to read."""
        return self.events_file.exists() and self.events_file.stat().st_size > _LONG_BYTES

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Hold the run's lock while it trains. Raises UserError if another process trains it, or if locks fail."""
        fd = os.open(self._lock_file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if not self._takes(fd):
                raise UserError(f"run {self.name} is being trained by another process; stop it first", "run")
            with suppress(OSError):  # no failure is noted so far
                os.pwrite(fd, bytes(_NOTE_BYTES), 0)
            yield
        finally:
            os.close(fd)

    def _takes(self, fd: int) -> bool:
        try:
            return take_lock(fd)
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            fix = "set FTTUI_HOME to a folder on another file system"
            raise UserError(
                f"the file system of {self.path} locks no files ({why}), as a run needs; {fix}", "home"
            ) from None

    def note_failure(self, why: str) -> None:
        """Note that the run failed in space that is allocated already, for a disk too full to take an event."""
        note = why.encode("utf-8", "replace")[: _NOTE_BYTES - 1].ljust(_NOTE_BYTES, b"\0")
        with suppress(OSError):
            fd = os.open(self._lock_file, os.O_WRONLY | os.O_NONBLOCK)
            try:
                os.pwrite(fd, note, 0)
            finally:
                os.close(fd)

    def failure(self) -> str:
        """Why the last attempt failed, if that was noted; else empty."""
        try:
            with self._lock_file.open("rb") as file:
                note = file.read(_NOTE_BYTES) if self._lock_file.is_file() else b""
        except OSError:
            return ""
        return note.partition(b"\0")[0].decode("utf-8", "replace")

    def state_without_end(self) -> str:
        """The state of a run whose events have no end: running, failed if that was noted, interrupted, or removed."""
        if not self.path.is_dir():
            return "removed"
        if self.is_alive():
            return "running"
        return "failed" if self.failure() else "interrupted"

    def is_alive(self) -> bool:
        """Whether a process trains this run now."""
        try:
            fd = os.open(self._lock_file, os.O_RDONLY | os.O_NONBLOCK)
        except OSError:  # no lock file, or no permission to open it: then it is not ours
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:  # a file system without locks
            return False
        finally:
            os.close(fd)
        return False


def _new(parent: Path, stem: str) -> Path:
    """A new folder called `stem`, or that with a number. Raises OSError."""
    for attempt in range(1, 1000):
        path = parent / (stem if attempt == 1 else f"{stem}-{attempt}")
        with suppress(FileExistsError):
            path.mkdir(mode=0o700)
            return path
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), stem)


def take_lock(fd: int) -> bool:
    """Take the lock in a few tries: a process that checks whether it is held holds it itself for a moment."""
    for _ in range(5):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.02)
        else:
            return True
    return False


def all_runs() -> list[RunFolder]:
    """Every run of this box, the newest first. Raises HomeUnusable if they can't be listed."""
    with paths.kept_in(paths.runs()):
        found = [path for path in paths.runs().iterdir() if _is_run(path)]
    return [RunFolder(path) for path in sorted(found, key=lambda path: path.name, reverse=True)]


def _is_run(path: Path) -> bool:
    try:
        return (path / "plan.toml").is_file()
    except OSError:  # a folder that we may not read is not listed
        return False
