"""Starts the trainer in a thread of this process. The thread belongs to `main`: no screen owns it or can end it."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from contextlib import suppress

from backend import settings
from backend.errors import UserError
from backend.launch import several
from backend.run import control
from backend.run.event_log import EventLog, EventTail
from backend.run.events import Logged, RunFinished
from backend.run.folder import RunFolder


class Trainer(threading.Thread):
    """Trains one run folder to its end, then runs the user's `on_finish`. Not a daemon: the process lives until then.

    Raises UserError for settings that can't be read, before anything starts.
    """

    def __init__(self, folder: RunFolder) -> None:
        super().__init__(name="trainer", daemon=False)
        self.folder = folder
        self._inbox = control.Inbox(folder.commands_file)  # here: a stop may come before torch is imported
        self.state: str | None = None
        """done, stopped, paused or failed; None while it runs."""
        self.trouble = ""
        """Why it failed, in a sentence (a full disk may keep it out of the run's events); empty if it did not fail."""
        self._on_finish = settings.load().on_finish

    def run(self) -> None:
        """Train; every failure is written to the run's events, if they can be written."""
        try:
            self.state = self.train()
        except OSError as error:
            traceback.print_exception(error)
            self.state, self.trouble = "failed", f"the run's files can't be written: {error}"
        if self.state == "failed" and not self.folder.is_alive():  # alive: another process trains it
            self.folder.note_failure(self.trouble or "it failed; trainer.log may say why")
        if self._on_finish:
            from backend.launch import on_finish

            with suppress(OSError):  # no room for its output
                on_finish.call(self._on_finish, self.folder)

    def train(self) -> str:
        """Train to the end; returns the state that the run ended in."""
        return train(self.folder, self._inbox, self._tell)

    def _tell(self, text: str) -> None:
        self.trouble = text

    def unsaid(self) -> str:
        """Why it failed, if the run's events don't say it: the disk is full; else empty."""
        if self.state != "failed" or not self.trouble:
            return ""
        ends = [event for event in EventTail(self.folder.events_file).events() if isinstance(event, RunFinished)]
        return "" if ends and ends[-1].error == self.trouble else self.trouble

    def stop(self) -> None:
        """Ask for a stop with a checkpoint at the next step boundary. Never raises: signal handlers call it."""
        try:
            control.send(self.folder.commands_file, "stop")
        except OSError:  # a full disk, or a folder that is closed or gone
            self._inbox.put("stop")


def train(folder: RunFolder, inbox: control.Inbox, tell: Callable[[str], None] = lambda text: None) -> str:
    """Train in this thread; over several devices, in a process for each. Returns the state that the run ended in."""
    if _devices(folder) > 1:
        return several.train(folder, inbox, tell)
    try:
        from backend.training import train as trainer  # loads torch: not before it is needed
    except Exception as error:  # noqa: BLE001 - a broken library raises whatever it likes
        return _not_importable(folder, error)
    return trainer.train(folder, inbox, tell)


def _not_importable(folder: RunFolder, error: Exception) -> str:
    """Write why there is no trainer to the run's events and its log. Returns `failed`."""
    from backend.training.failure import not_importable

    with suppress(UserError, OSError), folder.hold():  # another process trains it; or a full disk
        with folder.log_file.open("a", encoding="utf-8") as file:
            traceback.print_exception(error, file=file)
        text = not_importable(error)
        log = EventLog(folder.events_file)
        log.write(Logged(level="error", text=text))
        log.write(RunFinished(state="failed", error=text, step=several.last_step(folder)))
        log.close()
    return "failed"


def _devices(folder: RunFolder) -> int:
    try:
        return folder.job().plan.processes
    except UserError:  # the trainer says what is wrong with it
        return 1


def start(folder: RunFolder) -> Trainer:
    """Start training `folder` and return at once."""
    trainer = Trainer(folder)
    trainer.start()
    return trainer
