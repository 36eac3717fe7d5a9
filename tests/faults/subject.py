"""The runs that are killed, starved and damaged: short runs of a tiny model, compared with an undisturbed one."""

from __future__ import annotations

import shutil
from pathlib import Path

from backend.answers import Method
from backend.plan.job import Job
from backend.plan.plan import Plan
from backend.run.folder import RunFolder
from tests.bench import made
from tests.faults import lives
from tests.tiny import make_model


class Subject:
    """A model and rows in a home, and an undisturbed run of each method."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.model = make_model(home / "model")
        self.rows = made.rows(home / "rows.jsonl", 40)
        self._whole: dict[tuple[Method, int], lives.Outcome] = {}

    def new(self, method: Method, processes: int = 1) -> RunFolder:
        """A run that has not begun."""
        plan = Plan(
            method=method,
            quantization="nf4" if method == "qlora" else "none",
            precision="float32",
            max_steps=12,
            effective_batch=4,
            micro_batch=2,
            max_length=256,
            dropout=0.1 if method != "full" else 0.0,
            eval_fraction=0.1,
            eval_every=4,
            save_every=3,
            processes=processes,
        )
        return RunFolder.create(Job(str(self.model), str(self.model), str(self.rows), plan, "cpu", "CPU"))

    def undisturbed(self, method: Method, processes: int = 1) -> lives.Outcome:
        """The outcome of an undisturbed run; trained once."""
        if (method, processes) not in self._whole:
            folder = self.new(method, processes)
            assert lives.finish(folder), folder.log_file.read_text()[-3000:]
            self._whole[method, processes] = lives.outcome(folder)
        return self._whole[method, processes]

    def survives(self, folder: RunFolder, method: Method, processes: int = 1) -> bool:
        """Whether the run, resumed to its end, equals an undisturbed one. The run is then deleted."""
        done = lives.finish(folder)
        same = done and lives.outcome(folder).differs(self.undisturbed(method, processes)) == 0
        shutil.rmtree(folder.path, ignore_errors=True)
        return same
