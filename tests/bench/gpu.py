"""The trainer's own step on a GPU, with random weights of 1B, 3B and 8B shapes: memory by phase, and tokens per second.

    python -m tests.bench.gpu memory [--models 1B 8B] [--lengths 1024 4096]     beside the planner's prediction
    python -m tests.bench.gpu speed  [--models 1B 8B] [--lengths 1024 4096]     beside the planner's estimate

Each row is a process of its own: load as the trainer does, some optimizer steps, an evaluation pass, the result saved.
Twice for each method: fast (nothing recomputed, logits whole) and lean (checkpointing, chunked loss; full with bfloat16
weights and 8-bit states stepped in the backward pass). Prints Markdown for RESULTS.md. Without a GPU it prints "not
measured". `--device cpu --models tiny` tries the script itself if there is none.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from backend.answers import METHODS
from backend.model import known
from backend.model.shape import ModelShape
from backend.plan.plan import Plan
from backend.training.parallel.execution import Execution

NAMES = {"1B": "Llama-3.2-1B", "3B": "Llama-3.2-3B", "8B": "Llama-3.1-8B"}
PHASES = ("load", "step", "optimizer", "eval", "save")
STEPS = {"memory": 3, "speed": 8}
SKIPPED = 2
"""Steps that are not timed: kernels are chosen and states made in them."""
HEADER = {
    "memory": "| model | method | settings | tokens | phase | allocated | predicted | reserved | card | predicted |",
    "speed": "| model | method | settings | tokens | tokens/s | predicted |",
}


def main() -> None:
    """Every model, method and length in turn."""
    options = _options()
    if options.one:
        print(json.dumps(one(options, *options.one)))
        return
    if options.device == "cuda" and not _has_gpu():
        print("not measured: there is no NVIDIA GPU here")
        return
    print(f"{time.strftime('%Y-%m-%d')}, {_device_name(options.device)}\n")
    print(HEADER[options.what])
    print("|---" * (HEADER[options.what].count("|") - 1) + "|")
    for name in options.models:
        with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
            _child(options, "make", name, folder)
            for length in options.lengths:
                for method in METHODS:
                    for settings in ("fast", "lean"):
                        found = _child(options, name, folder, method, settings, str(length))
                        print("\n".join(_rows(options.what, name, method, settings, length, found)), flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=list(STEPS))
    parser.add_argument("--models", nargs="+", default=list(NAMES), choices=[*NAMES, "tiny"])
    parser.add_argument("--lengths", nargs="+", type=int, default=[1024, 4096])
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--scratch", help="a folder with room for the weights (8B: 16 GB) and the saved result")
    parser.add_argument("--one", nargs="+", help=argparse.SUPPRESS)
    return parser.parse_args()


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def _device_name(device: str) -> str:
    import torch

    return f"{torch.cuda.get_device_name() if device == 'cuda' else 'CPU'}, torch {torch.__version__}"


def _child(options: argparse.Namespace, *arguments: str) -> dict[str, Any]:
    """One row in a process of its own: what it found, or what went wrong."""
    command = [sys.executable, "-m", "tests.bench.gpu", options.what, "--device", options.device, "--one", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
        return found
    if arguments[0] == "make" or "out of memory" not in done.stderr.lower():
        raise SystemExit(done.stderr[-3000:])
    return {"failed": "out of memory"}


def one(options: argparse.Namespace, name: str, folder: str, *rest: str) -> dict[str, Any]:
    """The child's work: `make MODEL FOLDER`, or `MODEL FOLDER METHOD SETTINGS LENGTH`."""
    if name == "make":
        make(folder, Path(rest[0]), options.device)
        return {}
    method, settings, length = rest
    plan = plan_of(method, settings, int(length), options.device)
    return run(Path(folder), name, plan, options.device, STEPS[options.what])


def config_of(name: str) -> dict[str, Any]:
    """Transformers' settings of the shape."""
    if name == "tiny":
        return {**config_of("1B"), "hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 128, "head_dim": 16,
                "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 512}  # fmt: skip
    entry = known.by_name(NAMES[name])
    assert entry is not None
    return dict(entry[0].config)


def shape_of(name: str) -> ModelShape:
    """What the planner knows of the shape."""
    from backend.model.config import shape_from_config

    return shape_from_config(config_of(name), name)


def plan_of(method: Any, settings: str, length: int, device: str) -> Plan:
    """One sequence of `length` tokens a pass; fast or lean."""
    lean = settings == "lean"
    lean_full = lean and method == "full"
    return Plan(
        method=method,
        quantization="nf4" if method == "qlora" else "none",
        max_length=length,
        micro_batch=1,
        checkpointing=lean,
        chunked_loss=lean,
        optimizer="adamw_8bit" if lean_full else "adamw",
        optimizer_in_backward=lean_full,
        weights_dtype="bfloat16" if lean_full else "float32",
        max_grad_norm=0.0 if lean_full else 1.0,
        precision="bfloat16" if device == "cuda" else "float32",
    )


def run(folder: Path, name: str, plan: Plan, device: str, steps: int) -> dict[str, Any]:
    """Load, train, evaluate, save; peak bytes by phase and tokens/s."""
    import numpy as np
    import torch

    from backend.training import loss, methods
    from backend.training.batches import micro_batches
    from backend.training.optim.optimizers import updater
    from backend.training.precision import autocast
    from backend.training.step import forward_backward

    card = Card(device)
    loaded = methods.load(folder, name, Execution(plan, device))
    card.note("load")
    update = updater(loaded.trainable(), Execution(plan, device))
    loss_of = (loss.chunked if plan.chunked_loss else loss.whole)(loaded.network)
    ids = np.random.default_rng(0).integers(0, loaded.network.config.vocab_size, plan.max_length).astype(np.int32)
    batches = micro_batches([(ids, np.arange(len(ids)) > 0)], Execution(plan, device))
    seconds = []
    for step in range(steps):
        card.wait()
        began = time.perf_counter()
        update.begin(step, 1e-5)
        forward_backward(loss_of, batches, update, Execution(plan, device))
        card.note("step")
        update.finish()
        card.note("optimizer")
        card.wait()
        seconds.append(time.perf_counter() - began)
    loaded.network.eval()
    with torch.no_grad(), autocast(plan, device):
        float(loss_of(batches[0]))
    card.note("eval")
    with tempfile.TemporaryDirectory(dir=folder) as target:
        methods.save(loaded, plan, Path(target))
    card.note("save")
    timed = seconds[min(SKIPPED, steps - 1) :]
    speed = plan.max_length * len(timed) / sum(timed)
    return {"phases": card.phases, "tokens_per_second": speed, **predicted(name, plan, device)}


class Card:
    """Peak bytes by phase: allocated, reserved, and what NVML says the whole card has in use."""

    def __init__(self, device: str) -> None:
        self.phases: dict[str, dict[str, int]] = {}
        self._cuda = device == "cuda"

    def wait(self) -> None:
        """Until the device has done all its work."""
        import torch

        if self._cuda:
            torch.cuda.synchronize()

    def note(self, phase: str) -> None:
        """A phase ends: its peaks, the highest if it comes several times."""
        import torch

        if not self._cuda:
            return
        free, total = torch.cuda.mem_get_info()
        outside = total - free - torch.cuda.memory_reserved()  # the context, the libraries, other processes
        reserved = torch.cuda.max_memory_reserved()
        found = {"allocated": torch.cuda.max_memory_allocated(), "reserved": reserved, "card": reserved + outside}
        before = self.phases.get(phase, found)
        self.phases[phase] = {key: max(value, before[key]) for key, value in found.items()}
        torch.cuda.reset_peak_memory_stats()


def predicted(name: str, plan: Plan, device: str) -> dict[str, Any]:
    """The planner's own figures for the plan on this device."""
    from backend import hardware
    from backend.planner import devices, memory, throughput

    shape, here = shape_of(name), devices.here(hardware.detect()) if device == "cuda" else devices.named("cpu")
    length = plan.max_length
    peak = memory.predict(shape, plan, here, length)
    by_phase = {**peak.by_phase, "step": max(peak.by_phase["forward"], peak.by_phase["backward"])}
    load = throughput.Work(length, length, length, 0.0, length)
    seconds = throughput.step_seconds(shape, plan, here, load)
    speed = length / seconds.point if seconds else None
    return {"foreseen": by_phase, "foreseen_card": peak.peak_bytes, "foreseen_tokens_per_second": speed}


def make(name: str, folder: Path, device: str) -> None:
    """Random 16-bit weights as a folder that the trainer loads."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    settings = config_of(name)
    with torch.device(device):
        config = AutoConfig.for_model(settings.pop("model_type"), **settings)
        AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).save_pretrained(folder)


def _rows(what: str, name: str, method: str, settings: str, length: int, found: dict[str, Any]) -> list[str]:
    start = f"| {name} | {method} | {settings} | {length:,} "
    if "failed" in found:
        return [f"{start}| {found['failed']} " + "| " * (HEADER[what].count("|") - 6) + "|"]
    if what == "speed":
        guess = found["foreseen_tokens_per_second"]
        return [f"{start}| {found['tokens_per_second']:,.0f} | {f'{guess:,.0f}' if guess else '?'} |"]
    return [f"{start}| {phase} | {_memory(phase, found)} |" for phase in PHASES]


def _memory(phase: str, found: dict[str, Any]) -> str:
    """allocated | predicted | reserved | card | predicted, in GiB; the card's is of the whole run."""
    seen = found["phases"].get(phase)
    guess = found["foreseen"].get(phase)
    of_run = found["foreseen_card"] if phase == max(found["phases"], default=None, key=_allocated(found)) else None
    cells = (seen and seen["allocated"], guess, seen and seen["reserved"], seen and seen["card"], of_run)
    return " | ".join("" if value is None else f"{value / 2**30:.2f}" for value in cells)


def _allocated(found: dict[str, Any]) -> Any:
    return lambda phase: found["phases"][phase]["allocated"]


if __name__ == "__main__":
    main()
