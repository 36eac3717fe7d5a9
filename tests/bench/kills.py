"""kill -9 at random times: a resumed run gives the curve and the weights of an undisturbed one, bit for bit.

    python -m tests.bench.kills [KILLS] [SEED]

For each method a tiny model is trained once undisturbed, then again and again with its process killed after a random
time, until KILLS (default 30) have hit. After each kill every checkpoint is looked at; in the end all losses and the
last weights are compared. A life is a fork of a process that has imported everything, so that kills fall on the run
and not on imports.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from backend.answers import METHODS, Method
from backend.plan.job import Job
from backend.plan.plan import Plan
from backend.run.folder import RunFolder
from tests import events_on_disk
from tests.bench import made
from tests.tiny import make_model

SHARE = 0.7
"""Of an undisturbed run's time, the latest kill of an attempt: resumed ones are shorter."""


def main() -> None:
    """Kill, resume, compare; exit status 1 if anything differs."""
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    draw = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    os.environ["OMP_NUM_THREADS"] = "1"
    _import_all()
    print("| method | kills | in phase | runs | losses compared | damaged checkpoints | differences |")
    print("|---|--:|---|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as home:
        os.environ["FTTUI_HOME"] = home
        model = make_model(Path(home) / "model")
        rows = made.rows(Path(home) / "rows.jsonl", 40)
        wrong = sum(_report(method, model, rows, kills, draw) for method in METHODS)
    sys.exit(wrong > 0)


def _report(method: Method, model: Path, rows: Path, kills: int, draw: random.Random) -> int:
    reference = _new(method, model, rows)
    began = time.monotonic()
    assert _live(reference, None), reference.log_file.read_text()
    length = time.monotonic() - began
    curve, weights = _curve(reference), _weights(reference)
    phases: Counter[str] = Counter()
    damaged = differences = compared = runs = 0
    while sum(phases.values()) < kills:
        folder, runs, over = _new(method, model, rows), runs + 1, False
        while not over:
            left = kills - sum(phases.values())
            over = _live(folder, draw.uniform(0, SHARE * length) if left else None)
            if not over:
                phases[_phase(folder)] += 1
            damaged += _damaged(folder)
        ours = [(event["step"], event["loss"]) for event in _events(folder, "step")]
        compared += len(ours)
        differences += sum(curve[step] != loss for step, loss in ours) + ({step for step, _ in ours} != set(curve))
        differences += _differ(weights, _weights(folder))
    where = ", ".join(f"{name} {count}" for name, count in phases.most_common())
    print(
        f"| {method} | {sum(phases.values())} | {where} | {runs} | {compared} | {damaged} | {differences} |", flush=True
    )
    return damaged + differences


def _new(method: Method, model: Path, rows: Path) -> RunFolder:
    plan = Plan(
        method=method,
        quantization="nf4" if method == "qlora" else "none",
        precision="float32",
        epochs=4,
        effective_batch=4,
        micro_batch=2,
        max_length=512,
        dropout=0.1 if method != "full" else 0.0,
        eval_fraction=0.1,
        eval_every=4,
        save_every=3,
    )
    return RunFolder.create(Job(str(model), str(model), str(rows), plan, device="cpu", device_name="CPU"))


def _live(folder: RunFolder, seconds: float | None) -> bool:
    """One attempt of the run, killed after `seconds`; True if it came to its end."""
    child = os.fork()
    if child == 0:
        from backend.training.train import train

        os._exit(0 if train(folder) == "done" else 1)
    if seconds is not None:
        _wait_or_kill(child, seconds)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return False
    if os.WEXITSTATUS(status):
        raise SystemExit(f"a life failed:\n{folder.log_file.read_text()[-3000:]}")
    return True


def _wait_or_kill(child: int, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)


def _events(folder: RunFolder, name: str) -> list[dict[str, Any]]:
    return events_on_disk.read(folder.events_file, name)


def _phase(folder: RunFolder) -> str:
    if not folder.events_file.exists():
        return "start"
    seen = [event["name"] for event in _events(folder, "phase")]
    return seen[-1] if seen else "start"


def _curve(folder: RunFolder) -> dict[int, float]:
    return {event["step"]: event["loss"] for event in _events(folder, "step")}


def _damaged(folder: RunFolder) -> int:
    """Checkpoints under their final name that are incomplete."""
    from backend.training.saving import checkpoint

    whole = {found.path for found in checkpoint.every(folder.checkpoints) if found.damage() is None}
    return sum(path not in whole for path in folder.checkpoints.glob("step-*"))


def _weights(folder: RunFolder) -> dict[str, Any]:
    from backend.training.saving import checkpoint

    found, _ = checkpoint.newest(folder.checkpoints)
    assert found is not None
    return found.weights()


def _differ(ours: dict[str, Any], theirs: dict[str, Any]) -> int:
    assert ours.keys() == theirs.keys()
    return sum(not bool((ours[name] == value).all()) for name, value in theirs.items())


def _import_all() -> None:
    """What a run imports; nothing of torch is run before the forks, which threads would not survive."""
    import bitsandbytes
    import peft
    import torch
    import transformers.models.llama.modeling_llama

    import backend.training.train

    torch.set_num_threads(1)
    assert bitsandbytes and peft and transformers and backend


if __name__ == "__main__":
    main()
