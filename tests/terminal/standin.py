"""The wizard's process with a light trainer: real events, commands, lock and thread, but no model and no torch.

    python -m tests.terminal.standin [STEPS] [crash]

`crash` makes the screen raise in mid-run.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import Any

from textual.app import App

from backend.launch.launch import Trainer
from backend.plan.job import Job
from backend.plan.plan import Plan
from backend.run.control import Inbox
from backend.run.event_log import EventLog
from backend.run.events import CheckpointSaved, PhaseStarted, RunFinished, RunStarted, StepDone
from backend.run.folder import RunFolder
from tests.tui.stage import Stage
from tui import process
from tui.screens.live import LiveScreen

STEP_SECONDS = 0.05
NOISE = "noise of a library"


class StandIn(Trainer):
    """Writes what a trainer writes, a step every twentieth of a second, and obeys commands."""

    steps = 60

    def train(self) -> str:
        pause = threading.Event()
        with self.folder.hold():
            log, inbox = EventLog(self.folder.events_file), Inbox(self.folder.commands_file)
            log.write(RunStarted(step=0, total_steps=self.steps, method="lora", device="cpu"))
            log.write(PhaseStarted(name="train"))
            state = "done"
            for step in range(1, self.steps + 1):
                pause.wait(STEP_SECONDS)
                print(NOISE, step)
                os.write(2, b"\x1b[31mC noise\n")
                left = (self.steps - step) * STEP_SECONDS
                log.write(StepDone(step=step, total_steps=self.steps, loss=2.0 - step / self.steps, eta_seconds=left))
                commands = inbox.poll()
                if commands:
                    self._save(log, step)
                if "stop" in commands:
                    state = "stopped"
                    break
            log.write(RunFinished(state=state, seconds=self.steps * STEP_SECONDS))
        return state

    def _save(self, log: EventLog, step: int) -> None:
        (self.folder.checkpoints / f"step-{step}").mkdir()
        log.write(CheckpointSaved(step=step, path=f"checkpoints/step-{step}"))


class Launching(Stage):
    """Starts its run when it is up, as the wizard does."""

    def __init__(self, launch: process.Launch, crash: bool) -> None:
        super().__init__(None, ascii=None)
        self._launch = launch
        self._crash = crash

    def on_mount(self) -> None:
        folder, trainer = self._launch(Job("tiny", "/models/tiny", "rows.jsonl", Plan(), "cpu", "CPU"))
        self.push_screen(LiveScreen(folder, trainer))
        if self._crash:
            self.set_timer(0.5, self._fail)

    def _fail(self) -> None:
        raise RuntimeError("the screen broke on purpose")


def main() -> int:
    StandIn.steps = int(sys.argv[1]) if len(sys.argv) > 1 else StandIn.steps

    def make(launch: process.Launch) -> App[Any]:
        return Launching(launch, "crash" in sys.argv)

    def start(folder: RunFolder) -> Trainer:
        trainer = StandIn(folder)
        trainer.start()
        return trainer

    return process.run_app(make, start)


if __name__ == "__main__":
    sys.exit(main())
