"""How much of this machine's own matrix-product rate a step of the demo reaches: `make bench-limit`.

    python -m tests.bench.limit [--rounds 6] [--methods lora qlora full] [--precision float32] [--layers N]
                                [--counts | --parts]

A model of the demo's shape (SmolLM2-135M, random weights), and steps of four rows as the trainer makes them, in pairs
by turns in one process: as it was (a mask over packed rows, peft's own adapters) and as it is now. The rate is that of
bfloat16 (or float32) products measured between the pairs; the work is what the planner counts for a step. `--counts`
prints operations a step instead, which a busy machine does not change; `--layers 4` takes seconds then. `--parts`
prints the operations that a step's time goes to. Prints Markdown for RESULTS.md.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

from backend.answers import METHODS, Method
from backend.hardware import host
from backend.hardware.rate import does_bf16_well
from backend.model import find
from backend.plan.plan import Plan
from backend.planner import gpu_time
from backend.training import adapter_products, loss, methods, rng
from backend.training.batches import Row, micro_batches
from backend.training.optim.optimizers import updater
from backend.training.parallel.execution import Execution
from backend.training.precision import compute_dtype
from backend.training.step import forward_backward

MODEL = "SmolLM2-135M"
LENGTHS = (180, 170, 162, 156)
"""Tokens of the rows of a step, as the demo has them on average: 668."""
SCORED = 0.4
"""Part of a row that is its answer."""
PROFILED, SHOWN = 3, 24
"""Steps under the profiler, and operations that are printed."""
SHAPES = ((512, 576, 1536), (512, 576, 576), (512, 1536, 576))


@dataclass
class Contestant:
    """A model and its step."""

    name: str
    step: Callable[[], None]
    seconds: list[float]


def main() -> None:
    """Both ways of each method, by turns."""
    options = _options()
    shape = find.find(MODEL).shape
    shape = replace(shape, layers=options.layers or shape.layers)
    threads = f"{os.cpu_count()} cores, {torch.get_num_threads()} threads"
    print(f"{time.strftime('%Y-%m-%d')}, {threads}, torch {torch.__version__}\n")
    if options.parts:
        print("| method | operation | calls a step | share of the time |\n|---|---|--:|--:|")
    elif options.counts:
        print("| method | operations a step, before | now | products, before | now |\n|---|--:|--:|--:|--:|")
    else:
        print("| method | products GFLOP/s | before | now | now / before, pairs |\n|---|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as folder:
        saved = _saved(Path(folder), shape.layers)
        for method in options.methods:
            plan = _plan(method, options.precision)
            pair = [_contestant(saved, replace(plan, attention=x), fused=x == "varlen") for x in ("sdpa", "varlen")]
            if options.counts or options.parts:
                print(_parts(method, pair[1]) if options.parts else _counted(method, pair), flush=True)
                continue
            rate = _timed(pair, options.rounds, compute_dtype(plan))
            tokens, scored = sum(LENGTHS), sum(int(n * SCORED) for n in LENGTHS) / sum(LENGTHS)
            attended = sum(n * n for n in LENGTHS) / tokens
            flops = gpu_time.dense_flops(shape, plan, scored) + gpu_time.attention_flops(shape, plan, attended)
            print(_line(method, pair, rate, flops * tokens), flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--methods", nargs="*", default=METHODS, choices=METHODS)
    parser.add_argument("--layers", type=int)
    parser.add_argument("--precision", choices=("bfloat16", "float32"), help="by default what this CPU does well")
    parser.add_argument("--counts", action="store_true", help="operations, not times")
    parser.add_argument("--parts", action="store_true", help="the operations that take most of a step's time")
    return parser.parse_args()


def _saved(folder: Path, layers: int) -> Path:
    from transformers import AutoConfig, AutoModelForCausalLM

    from backend.model import known

    entry = known.by_name(MODEL)
    assert entry is not None
    settings = {**entry[0].config, "num_hidden_layers": layers}
    torch.manual_seed(0)
    config = AutoConfig.for_model(settings.pop("model_type"), **settings)
    AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).save_pretrained(folder)
    return folder


def _plan(method: Method, asked: str | None) -> Plan:
    precision: Any = asked or ("bfloat16" if does_bf16_well(host.cpu()) else "float32")
    quantization: Any = "nf4" if method == "qlora" else "none"
    return Plan(method=method, quantization=quantization, precision=precision, max_length=1024, effective_batch=4)


def _contestant(folder: Path, plan: Plan, *, fused: bool) -> Contestant:
    execution = Execution(plan, "cpu", flat=plan.attention == "varlen")
    rng.seed(0)
    with nullcontext() if fused else mock.patch.object(adapter_products, "fuse"):
        loaded = methods.load(folder, "base", execution)
    loss_of, update = loss.whole(loaded.network), updater(loaded.trainable(), execution)

    def step() -> None:
        batches = micro_batches(_rows(), execution)
        update.begin(0, 1e-5)
        forward_backward(loss_of, batches, update, execution)
        update.finish()

    return Contestant("now" if fused else "before", step, [])


def _rows() -> list[Row]:
    draw = np.random.default_rng(0)
    return [(draw.integers(3, 49000, n).astype(np.int32), np.arange(n) >= n - int(n * SCORED)) for n in LENGTHS]


def _timed(pair: list[Contestant], rounds: int, dtype: torch.dtype) -> float:
    """Seconds of steps in turn, the first not counted. Returns the products' FLOP/s, the best of all rounds."""
    best = 0.0
    for one in pair:
        one.step()
    for number in range(rounds):
        best = max(best, _rate(dtype))
        for one in pair if number % 2 else reversed(pair):
            start = time.perf_counter()
            one.step()
            one.seconds.append(time.perf_counter() - start)
    return best


def _rate(dtype: torch.dtype, seconds: float = 0.3) -> float:
    """FLOP/s of the model's own products, the best of some turns."""
    best, end = 0.0, time.perf_counter() + seconds
    made = [(torch.ones(m, k, dtype=dtype), torch.ones(n, k, dtype=dtype)) for m, k, n in SHAPES]
    while time.perf_counter() < end:
        start = time.perf_counter()
        for a, b in made:
            torch.nn.functional.linear(a, b)
        best = max(best, sum(2 * m * k * n for m, k, n in SHAPES) / (time.perf_counter() - start))
    return best


def _line(method: str, pair: list[Contestant], rate: float, flops: float) -> str:
    cells = []
    for one in pair:
        middle = statistics.median(one.seconds)
        cells.append(f"{flops / middle / rate:.0%}, {sum(LENGTHS) / middle:,.0f} tokens/s")
    ratios = sorted(before / now for before, now in zip(pair[0].seconds, pair[1].seconds, strict=True))
    span = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})"
    return f"| {method} | {rate / 1e9:,.0f} | {' | '.join(cells)} | {span} |"


def _counted(method: str, pair: list[Contestant]) -> str:
    from torch.profiler import profile

    operations, products = [], []
    for one in pair:
        one.step()
        with profile() as seen:
            one.step()
        counts = {x.key: x.count for x in seen.key_averages() if x.key.startswith("aten::")}
        operations.append(sum(counts.values()))
        products.append(sum(counts.get(f"aten::{name}", 0) for name in ("mm", "addmm", "bmm")))
    return f"| {method} | {operations[0]:,} | {operations[1]:,} | {products[0]:,} | {products[1]:,} |"


def _parts(method: str, one: Contestant) -> str:
    """By torch's profiler: each operation's own time, the longest first."""
    from torch.profiler import profile

    one.step()
    with profile() as seen:
        for _ in range(PROFILED):
            one.step()
    events = sorted(seen.key_averages(), key=lambda x: -x.self_cpu_time_total)
    whole = sum(x.self_cpu_time_total for x in events)
    rows = (
        f"| {method} | {x.key} | {x.count / PROFILED:,.0f} | {x.self_cpu_time_total / whole:.1%} |"
        for x in events[:SHOWN]
    )
    return "\n".join(rows)


if __name__ == "__main__":
    main()
