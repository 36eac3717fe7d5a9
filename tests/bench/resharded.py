"""A checkpoint that two processes wrote, resumed by one and by three: the same steps, and how far the losses are apart.

    python -m tests.bench.resharded [--methods lora qlora full] [--settings optimizer=adamw_8bit ...]

On CPUs (gloo), a tiny Llama, 8 steps, the checkpoint at step 4. Compared with the two processes training on without a
break, and with a single process from the start. Exit status 1 if a run does not end well or a loss is more than 1e-3
apart.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from backend.answers import METHODS, Method
from backend.launch import launch
from backend.plan import fields
from backend.run.control import Inbox
from backend.run.folder import RunFolder
from tests.backend.training.helpers import losses, new_run, set_processes
from tests.bench import made
from tests.tiny import make_model

STEPS, AT = 8, 4


def main() -> None:
    """A line for each method and number of processes."""
    options = _options()
    print("| method | resumed by | steps | against two undisturbed | against one from the start |")
    print("|---|--:|---|--:|--:|")
    good = []
    with tempfile.TemporaryDirectory() as home:
        os.environ["FTTUI_HOME"] = home
        model, rows = make_model(Path(home) / "model"), made.rows(Path(home) / "rows.jsonl", 40)
        for method in options.methods:
            good += _method(method, model, rows, fields.parse_settings(options.settings))
    sys.exit(not all(good))


def _method(method: Method, model: Path, rows: Path, settings: dict[str, Any]) -> list[bool]:
    few = {"max_steps": STEPS, "epochs": 100.0, "save_every": AT, "eval_every": 100, "eval_fraction": 0.0, **settings}
    one, two = (new_run(model, rows, method, processes=count, **few) for count in (1, 2))
    for folder in (one, two):
        _train(folder)
    good = []
    for count in (1, 2, 3):
        again = _copied(two, count)
        set_processes(again, count)
        _train(again)
        found, apart = losses(again), [_apart(losses(again), losses(other)) for other in (two, one)]
        print(f"| {method} | {count} | {AT + 1} to {max(found)} | {apart[0]:.0e} | {apart[1]:.0e} |", flush=True)
        good.append(max(found) == STEPS and max(apart) < 1e-3)
    return good


def _apart(these: dict[int, float], those: dict[int, float]) -> float:
    """The largest relative difference of a step's loss; not all quick steps have an event."""
    both = [step for step in these if step > AT and step in those]
    assert both
    return max(abs(these[step] - those[step]) / those[step] for step in both)


def _train(folder: RunFolder) -> None:
    if launch.train(folder, Inbox(folder.commands_file)) != "done":
        raise SystemExit(folder.log_file.read_text(encoding="utf-8", errors="replace")[-3000:])


def _copied(folder: RunFolder, count: int) -> RunFolder:
    """The run as it was at step AT."""
    copy = RunFolder(folder.path.with_name(f"{folder.name}-on-{count}"))
    shutil.copytree(folder.path, copy.path)
    for path in copy.checkpoints.glob("step-*"):
        if path.name != f"step-{AT:08d}":
            shutil.rmtree(path)
    shutil.rmtree(copy.result, ignore_errors=True)
    return copy


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--settings", nargs="*", default=[], help="plan fields, key=value")
    return parser.parse_args()


if __name__ == "__main__":
    main()
