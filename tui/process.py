"""The process around the screen: it owns the terminal, the trainer's thread and the log.

The screen may be left or crash; the run continues until it has ended or somebody asks it to stop.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from backend import logind, paths, settings
from backend.errors import STOPPED, UserError, exit_code
from backend.launch import launch
from backend.launch.launch import Trainer
from backend.plan.job import Job
from backend.run import history
from backend.run.folder import RunFolder
from tui import command_line, front
from tui.wizard import STOPPING

if TYPE_CHECKING:
    from textual.app import App

    from backend.plan.preset import Preset
    from tui.terminal import Terminal

Launch = Callable[[Job], tuple[RunFolder, Trainer]]

WITHOUT_SCREEN = "use `fttui plan` and `fttui train`"
LOGOUT = (
    "Logging out ends it on this box (KillUserProcesses of logind). To start a run that survives a logout:\n"
    "    loginctl enable-linger; systemd-run --user --scope fttui"
)
_SCREEN_FAILED = 1


def run_wizard(
    start_at: str | None = None,
    run: RunFolder | None = None,
    *,
    preset: str | None = None,
    given: Mapping[str, str] | None = None,
    ascii: bool | None = None,
) -> int:
    """Show the wizard (or the live screen of `run`) until it is left; returns the command's exit code.

    `preset` is the preset to start from, `given` are further answers (adapter, add_tokens); `ascii` draws with ASCII
    only, None leaves that to the settings and the terminal. Returns in a forked child: the parent stays the shell's job
    and exits when the screen is gone.
    """
    own = settings.load()
    begin = _preset(preset) if preset is not None else None
    if given:
        _refuse_unreadable(given)

    def make(launch: Launch) -> App[Any]:
        from tui.app import WizardApp

        app = WizardApp(launch=launch, start_at=start_at, run=run, settings=own, ascii=ascii)
        if begin is not None:
            app.journey.start_from(begin)
        app.journey.answer(**given or {})
        return app

    return run_app(make, instead=f"`fttui watch {run.name} --plain` prints its lines" if run else WITHOUT_SCREEN)


def _refuse_unreadable(given: Mapping[str, str]) -> None:
    from backend.planner import start

    start.refuse_unreadable(given.get("adapter"), given.get("add_tokens"))


def _preset(name: str) -> Preset:
    from backend import presets

    return presets.load(name)


def run_app(
    make_app: Callable[[Launch], App[Any]],
    start: Callable[[RunFolder], Trainer] = launch.start,
    *,
    instead: str = WITHOUT_SCREEN,
) -> int:
    """Show the app that `make_app` builds; `start` starts a run's trainer. Exit codes as the README has them.

    Raises UserError if there is no terminal that can show it; `instead` says what to do then.
    """
    from tui import terminal

    if why := terminal.why_unusable():
        raise UserError(f"{why}; {instead}")
    log_file = paths.home() / "fttui.log"
    with paths.kept_in(paths.home()):
        os.close(os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK, 0o600))
    leash = front.fork()
    session = ScreenSession(terminal.Terminal(1), leash, log_file, start)
    session.show(make_app(session.launch))
    return session.finish()


class ScreenSession:
    """One screen and at most one trainer at a time."""

    def __init__(
        self, terminal: Terminal, leash: front.Leash, log_file: Path, start: Callable[[RunFolder], Trainer]
    ) -> None:
        from tui.terminal import log_streams

        self._terminal = terminal
        self._leash = leash
        self._start = start
        self._app: App[Any] | None = None
        self._trainer: Trainer | None = None
        self._stopping = False
        self._crashed = False
        self._log_to(log_file)
        log_streams()
        self._take_signals()

    def launch(self, job: Job) -> tuple[RunFolder, Trainer]:
        """Create the run folder for `job`, redirect all output into it and start training."""
        if self._trainer is not None and self._trainer.is_alive():
            raise UserError(f"run {self._trainer.folder.name} is still training; stop it first")
        folder = RunFolder.create(job)
        self._log_to(folder.log_file)
        self._trainer = self._start(folder)
        return folder, self._trainer

    def show(self, app: App[Any]) -> None:
        """Run `app` until it is left or crashes. Either way, the trainer continues."""
        from tui.terminal import driver_for

        app.driver_class = driver_for(self._terminal, self.lost)
        # Textual would capture what the whole process prints while it runs; that belongs into the log.
        app._capture_stdout = sys.stdout  # type: ignore[assignment]
        app._capture_stderr = sys.stderr  # type: ignore[assignment]
        self._app = app
        try:
            result = app.run()
        except Exception:
            logging.getLogger(__name__).exception("the screen ended in an error")
            self._crashed = True
        else:
            self._crashed = app.return_code not in (None, 0)
            self._stopping = self._stopping or result == STOPPING
        finally:
            self._app = None

    def finish(self) -> int:
        """After the screen is gone: say how to see the run again and wait for its end; returns the exit code."""
        if self._crashed:
            self._terminal.say(f"The screen ended in an error; its traceback is in {self._log_file}.")
        if self._trainer is None:
            return _SCREEN_FAILED if self._crashed else STOPPED if self._stopping else 0
        name = self._trainer.folder.name
        if not self._is_over(self._trainer):
            if self._stopping:
                self._terminal.say(f"Stopping {name} at the next step, with a checkpoint.")
            else:
                self._terminal.say(f"{name} continues without the screen. Watch it with:\n    fttui watch {name}")
                if logind.kills_processes():
                    self._terminal.say(LOGOUT)
                self._let_go()
        self._trainer.join()
        self._terminal.say(outcome(self._trainer))
        return exit_code(self._trainer.state)

    def lost(self) -> None:
        """The terminal hung up: end the screen, never the run. Called from any thread and from a signal handler."""
        from tui.terminal import silence_input

        if not os.isatty(0):
            silence_input()
        self._leave()

    def _leave(self) -> None:
        self._terminal.closing = True
        app = self._app
        loop = getattr(app, "_loop", None)
        if app is not None and loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop closed meanwhile: the screen is gone
                loop.call_soon_threadsafe(app.exit)

    def _let_go(self) -> None:
        """Leave the terminal for good: the prompt comes back, and closing the terminal no longer affects us."""
        from tui.terminal import silence_input

        self._terminal.close()
        silence_input()
        self._leash.release()
        os.setsid()

    def _log_to(self, log_file: Path) -> None:
        from tui.terminal import redirect_output

        self._log_file = log_file
        redirect_output(log_file)

    def _take_signals(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            signal.signal(number, self._on_stop)
        signal.signal(signal.SIGHUP, self._on_hang_up)

    def _on_stop(self, _number: int, _frame: FrameType | None) -> None:
        """A scheduler's eviction or Ctrl+C: stop after the current step, with a checkpoint."""
        self._stopping = True
        if self._trainer is not None:
            self._trainer.stop()
        self._leave()

    def _on_hang_up(self, _number: int, _frame: FrameType | None) -> None:
        self.lost()

    @staticmethod
    def _is_over(trainer: Trainer) -> bool:
        return not trainer.is_alive() or bool(history.read(trainer.folder.events_file).finished)


def outcome(trainer: Trainer) -> str:
    """How a run ended and what to do next."""
    folder = trainer.folder
    named = command_line.quoted(folder.reference)
    past = history.read(folder.events_file)
    at = f"at step {past.step:,} of {past.total_steps:,}" if past.total_steps else "before its first step"
    if trainer.state == "done":
        result = past.finished.result if past.finished else None
        return f"{folder.name} is done. Its result:\n    {result or folder.result}"
    if trainer.state in ("stopped", "paused"):
        return f"{folder.name} {trainer.state} {at}. Resume it with:\n    fttui resume {named}"
    if unsaid := trainer.unsaid():
        return f"{folder.name} failed {at}: {unsaid}"
    return f"{folder.name} failed {at}. See why with:\n    fttui watch {named}"
