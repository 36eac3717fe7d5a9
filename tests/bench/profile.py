"""Where a step's time goes: the share outside of forward, backward and optimizer.

    python -m tests.bench.profile [full|lora|qlora] [ROWS]

A run of the 10M model as in `tests.bench.trainer`, with clocks around the three parts; on a CPU nothing runs beside
them. The total is taken from the `step` events: it includes choosing rows, packing, the checks, events and memory
readings. Prints Markdown for RESULTS.md.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from backend.plan.job import Job
from backend.plan.plan import Plan
from backend.run.folder import RunFolder
from backend.training import loss
from backend.training.optim import optimizers
from backend.training.train import train
from tests import events_on_disk
from tests.bench import made
from tests.bench.trainer_runs import NEVER, home

seconds: dict[str, float] = defaultdict(float)


def main() -> None:
    """Train one epoch with clocks, print shares."""
    method: Any = sys.argv[1] if len(sys.argv) > 1 else "full"
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 200
    make = loss.whole
    loss.whole = lambda network: timed("forward", make(network))
    for name, part in (("backward", "backward"), ("begin", "optimizer"), ("finish", "optimizer")):
        setattr(optimizers.AfterBackward, name, timed(part, getattr(optimizers.AfterBackward, name)))
    with tempfile.TemporaryDirectory() as work, home():
        model, rows = made.model(Path(work) / "model"), made.rows(Path(work) / "rows.jsonl", count)
        plan = Plan(
            method=method,
            quantization="nf4" if method == "qlora" else "none",
            epochs=1,
            max_length=2048,
            effective_batch=8,
            eval_fraction=0.0,
            eval_every=NEVER,
            save_every=NEVER,
        )
        folder = RunFolder.create(Job(str(model), str(model), str(rows), plan, device="cpu", device_name="CPU"))
        assert train(folder) == "done", folder.log_file.read_text()
        steps = events_on_disk.read(folder.events_file, "step")
    whole = sum(event["step_seconds"] for event in steps)
    rest = whole - sum(seconds.values())
    print(f"{time.strftime('%Y-%m-%d')}, {method}, 10M parameters, {len(steps)} steps of 8 rows, {whole:.1f} s\n")
    print("| part | share |\n|---|--:|")
    for name, value in (*seconds.items(), ("all else", rest)):
        print(f"| {name} | {value / whole:.2%} |")


def timed(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, its time added to `part`."""

    def run(*arguments: Any, **options: Any) -> Any:
        began = time.perf_counter()
        try:
            return function(*arguments, **options)
        finally:
            seconds[part] += time.perf_counter() - began

    return run


if __name__ == "__main__":
    main()
