"""kill -9 at random times: a resumed run gives the curve and the weights of an undisturbed one, bit for bit.

    python -m tests.bench.kills [--seed 0] [KILLS [METHOD ...]]

For each method a tiny model is trained once undisturbed, then again and again with its process killed after a random
time, until KILLS (default 30) have hit. After each kill every checkpoint is looked at; in the end all losses and the
last weights are compared. An attempt is a fork of a process that has imported everything, so that kills fall on the run
and not on imports. `make faults` has the other kinds of kills.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from backend.answers import METHODS, Method
from backend.run.folder import RunFolder
from tests import events_on_disk
from tests.faults import lives
from tests.faults.subject import Subject

SHARE = 0.7
"""The latest kill of an attempt, as a fraction of an undisturbed run's time: resumed attempts are shorter."""


def main() -> None:
    """Kill, resume, compare; exit status 1 if anything differs."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("kills", type=int, nargs="?", default=30)
    parser.add_argument("methods", nargs="*", metavar="METHOD", help=", ".join(METHODS))
    asked = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    lives.import_all()
    print("| method | kills | in phase | runs | figures compared | damaged checkpoints | differences |")
    print("|---|--:|---|--:|--:|--:|--:|", flush=True)
    with tempfile.TemporaryDirectory() as home:
        os.environ["FTTUI_HOME"] = home
        subject, draw = Subject(Path(home)), random.Random(asked.seed)
        wrong = sum(_report(subject, method, asked.kills, draw) for method in asked.methods or METHODS)
    sys.exit(wrong > 0)


def _report(subject: Subject, method: Method, kills: int, draw: random.Random) -> int:
    began = time.monotonic()
    whole = subject.undisturbed(method)
    length = time.monotonic() - began
    phases: Counter[str] = Counter()
    damaged = differences = compared = runs = 0
    while phases.total() < kills:
        folder, runs = subject.new(method), runs + 1
        while os.WIFSIGNALED(_attempt(folder, draw.uniform(0, SHARE * length) if phases.total() < kills else None)):
            phases[_phase(folder)] += 1
            damaged += _damaged(folder)
        ours = lives.outcome(folder)
        compared += len(ours.figures)
        differences += ours.differs(whole)
        damaged += _damaged(folder)
    where = ", ".join(f"{name} {count}" for name, count in phases.most_common())
    print(f"| {method} | {phases.total()} | {where} | {runs} | {compared} | {damaged} | {differences} |", flush=True)
    return damaged + differences


def _attempt(folder: RunFolder, seconds: float | None) -> int:
    """One attempt, killed after `seconds`; its wait status. An attempt that fails ends the benchmark."""
    kill = lives.after_seconds(seconds) if seconds is not None else lambda child: None
    status = lives.attempt(folder, meanwhile=kill)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise SystemExit(f"an attempt failed:\n{folder.log_file.read_text()[-3000:]}")
    return status


def _phase(folder: RunFolder) -> str:
    """The phase that the run was killed in."""
    seen = events_on_disk.read(folder.events_file, "phase") if folder.events_file.exists() else []
    return str(seen[-1]["name"]) if seen else "start"


def _damaged(folder: RunFolder) -> int:
    """Checkpoints under their final name that are incomplete."""
    from backend.training.saving import checkpoint

    whole = {found.path for found in checkpoint.every(folder.checkpoints) if found.damage() is None}
    return sum(path not in whole for path in folder.checkpoints.glob("step-*"))


if __name__ == "__main__":
    main()
