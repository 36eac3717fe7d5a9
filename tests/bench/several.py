"""The same run on one device and on several: tokens per second, the peak of a device, and the same losses.

    python -m tests.bench.several [--counts 1 2 4] [--models 1B 8B] [--methods lora qlora full] [--rows 400]

Whole runs as `fttui train` makes them, with random weights in a real model's shape (tests/bench/gpu_shapes.py) and
rows of the demo. Prints Markdown; "not measured" if there are fewer GPUs. `--device cpu --models 10M --counts 1 2`
tries it if there is none.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from backend.answers import METHODS, Method
from backend.plan.plan import Plan
from tests import events_on_disk
from tests.bench import gpu_shapes, made

NEVER = 1_000_000


def main() -> None:
    """Every model, method and count in turn."""
    options = _options()
    counts = [count for count in options.counts if options.device == "cpu" or count <= _gpus()]
    if max(counts, default=0) < 2:
        print("not measured: there are fewer than two NVIDIA GPUs here")
        return
    print(f"{time.strftime('%Y-%m-%d')}, {options.device}, {options.rows} rows\n")
    print("| model | method | devices | tokens/s | against one | peak of a device, GiB | loss at the end |")
    print("|---|---|--:|--:|--:|--:|--:|")
    for name in options.models:
        with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
            model = Path(folder) / "model"
            if name == "10M":
                made.model(model)
            else:
                gpu_shapes.make(name, model, options.device)
                made.write_tokenizer(model)
            rows = made.rows(Path(folder) / "rows.jsonl", options.rows)
            for method in options.methods:
                _compare(name, method, counts, model, rows, options.device)


def _compare(name: str, method: Method, counts: list[int], model: Path, rows: Path, device: str) -> None:
    alone: float | None = None
    for count in counts:
        found = run(method, count, model, rows, device)
        if count == 1:
            alone = found["tokens_per_second"]
        gain = f"{found['tokens_per_second'] / alone:.2f}x" if alone else ""
        speed, peak = f"{found['tokens_per_second']:,.0f}", f"{found['peak_bytes'] / 2**30:.2f}"
        print(f"| {name} | {method} | {count} | {speed} | {gain} | {peak} | {found['loss']:.4f} |", flush=True)


def run(method: Method, count: int, model: Path, rows: Path, device: str) -> dict[str, Any]:
    """One whole run; its `run_finished`."""
    from backend.launch import launch
    from backend.plan.job import Job
    from backend.run.control import Inbox
    from backend.run.folder import RunFolder

    plan = Plan(
        method=method,
        quantization="nf4" if method == "qlora" else "none",
        precision="bfloat16" if device == "cuda" else "float32",
        processes=count,
        epochs=1,
        effective_batch=32,
        checkpointing=True,
        chunked_loss=True,
        learning_rate=2e-5,
        eval_fraction=0.0,
        eval_every=NEVER,
        save_every=NEVER,
    )
    with tempfile.TemporaryDirectory() as home:
        os.environ["FTTUI_HOME"] = home
        folder = RunFolder.create(Job(str(model), str(model), str(rows), plan, device=device, device_name=device))
        if launch.train(folder, Inbox(folder.commands_file)) != "done":
            raise SystemExit(folder.log_file.read_text(encoding="utf-8")[-3000:])
        return events_on_disk.read(folder.events_file, "run_finished")[-1]


def _gpus() -> int:
    from backend import hardware

    return len(hardware.detect().gpus)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", nargs="+", type=int, default=[1, 2, 4])
    parser.add_argument("--models", nargs="+", default=["1B", "8B"], choices=[*gpu_shapes.NAMES, "10M"])
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--rows", type=int, default=400)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--scratch", help="a folder with room for the weights (8B: 16 GB)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
