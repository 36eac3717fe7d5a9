"""The wizard, a light run and its result on a box where every outside text is nasty.

    python -m tests.terminal.nasty_wizard FOLDER

It looks at the real files of FOLDER; the box and the trainer are stand-ins.
"""

from __future__ import annotations

import itertools
import os
import sys
from typing import Any

from textual.app import App

from backend import presets
from backend.launch.launch import Trainer
from backend.run.folder import RunFolder
from backend.settings import Settings
from tests.terminal import nasty_box
from tests.tui import box
from tui import process, theme
from tui.app import WizardApp
from tui.sources import Sources


class NastyTrainer(Trainer):
    """Says what a trainer says, all of it nasty."""

    def train(self) -> str:
        with self.folder.hold():
            nasty_box.tell(self.folder, "done", result=f"/out {nasty_box.TITLE}\"'")
        return "done"


def make(launch: process.Launch) -> App[Any]:
    real = Sources()
    sources = box.sources(
        find_model=real.find_model,
        models_here=real.models_here,
        data_here=real.data_here,
        inspect_data=real.inspect_data,
    )
    seconds = itertools.count()
    app = WizardApp(launch=launch, sources=sources, settings=Settings(), clock=lambda: float(next(seconds)))
    app.preferred_theme = theme.DARK
    app.journey.start_from(presets.load(nasty_box.PRESET))
    return app


def start(folder: RunFolder) -> Trainer:
    trainer = NastyTrainer(folder)
    trainer.start()
    return trainer


if __name__ == "__main__":
    os.chdir(sys.argv[1])
    sys.exit(process.run_app(make, start))
