"""Tokens per second and peak memory: fttui against TRL's SFTTrainer and the plainest packed PyTorch loop.

    python -m tests.bench.trainer [--quick] [--demo] [--trl-python PATH] [--repeat N]

Same model (10M parameters, 32,000 tokens; with --demo SmolLM2-135M with LoRA), same rows of GSM8K, 8 rows a step, one
epoch. Each run is a process of its own, one after the other, the contestants in turn. Tokens are those of the rows,
padding not counted; seconds are those of the steps, without imports, loading and tokenising. TRL 1.16.0 belongs in an
environment of its own, which --trl-python names; without it its rows say "not measured". Prints Markdown for
RESULTS.md.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.bench import made

HERE = Path(__file__).parent
BATCH = 8
# Environment of a contestant whose name ends in +glibc: big blocks are kept for the next step, not given back.
GLIBC = {"MALLOC_MMAP_THRESHOLD_": str(1 << 32), "MALLOC_TRIM_THRESHOLD_": str(1 << 34)}
CONTESTANTS = (
    *("trl-defaults", "trl-best", "plain-fp32", "plain-bf16", "plain-bf16+glibc"),
    *("fttui-fp32", "fttui-bf16", "fttui-bf16+glibc", "fttui-chunked"),
)
MISSING = "TRL was left out: install trl==1.16.0 in an environment of its own and name its python with --trl-python."


@dataclass
class Runs:
    """What one contestant did, repetition by repetition."""

    name: str
    seconds: list[float] = field(default_factory=list)
    peaks: list[float] = field(default_factory=list)

    def line(self, tokens: int, baseline: float | None) -> str:
        """A row of the table; `baseline` is the tokens/s that it is compared with."""
        if not self.seconds:
            return f"| {self.name} | not measured | | | |"
        speeds = [tokens / seconds for seconds in self.seconds]
        middle = statistics.median(speeds)
        spread = f"{min(speeds):,.0f}-{max(speeds):,.0f}"
        against = f"{middle / baseline:.2f}x" if baseline else ""
        return f"| {self.name} | {middle:,.0f} | {spread} | {against} | {statistics.median(self.peaks) / 2**20:,.0f} |"

    def speed(self, tokens: int) -> float | None:
        """Median tokens/s."""
        return tokens / statistics.median(self.seconds) if self.seconds else None


def main() -> None:
    """Make the model and the rows, run all, print the table."""
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        rows = made.rows(work / "rows.jsonl", options.rows)
        model = _demo() if options.demo else made.model(work / "model")
        settings, tokens = _settings(model, rows, "lora" if options.demo else "full")
        runs = [Runs(name) for name in options.only or CONTESTANTS]
        for _ in range(options.repeat):
            for it in runs:
                found = _run(it.name, model, rows, settings, options.trl_python)
                if found:
                    assert found.get("tokens", tokens) == tokens, "all contestants train on the same tokens"
                    it.seconds.append(found["seconds"])
                    it.peaks.append(found["peak_bytes"])
                    print(f"{it.name}: {tokens / found['seconds']:,.0f} tokens/s, {found}", file=sys.stderr)
    print(_table(runs, tokens, settings, options))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few rows once: does it work at all?")
    parser.add_argument("--demo", action="store_true", help="SmolLM2-135M with LoRA instead of the 10M model")
    parser.add_argument("--trl-python", default=sys.executable, help="a python that imports trl 1.16.0")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--only", nargs="*", help=f"of {', '.join(CONTESTANTS)}; any with +glibc")
    options = parser.parse_args()
    if options.demo:
        options.rows = min(options.rows, 32)
    if options.quick:
        options.rows, options.repeat = (4 if options.demo else 24), 1
    return options


def _settings(model: Path, rows: Path, method: str) -> tuple[dict[str, Any], int]:
    """What all contestants share, and the tokens of all rows. A packed sequence has room for about BATCH rows."""
    from backend.data.prepare import prepare
    from tests.bench.trainer_runs import home

    with home():
        lengths = prepare(str(rows), (), model, 4096, 0.0, 0).train.lengths
    length = -(-int(BATCH * lengths.mean()) // 128) * 128
    assert lengths.max() <= length
    return {"batch": BATCH, "length": length, "method": method}, int(lengths.sum())


def _run(name: str, model: Path, rows: Path, settings: dict[str, Any], trl_python: str) -> dict[str, Any] | None:
    """One contestant in a process of its own; None if TRL is not there."""
    setting, _, heap = name.partition("+")
    arguments = [setting, str(model), str(rows), json.dumps(settings)]
    if setting.startswith("trl"):
        if subprocess.run([trl_python, "-c", "import trl"], capture_output=True, check=False).returncode:
            return None
        command = [trl_python, "-P", str(HERE / "trainer_trl.py"), *arguments]  # -P: modules here hide standard ones
    else:
        command = [sys.executable, "-m", "tests.bench.trainer_runs", *arguments]
    environment = os.environ | (GLIBC if heap == "glibc" else {}) | {"HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def _demo() -> Path:
    from backend.training.demo_model import convert

    return convert(print)


def _table(runs: list[Runs], tokens: int, settings: dict[str, Any], options: argparse.Namespace) -> str:
    model = "SmolLM2-135M, LoRA r16" if options.demo else "10M-parameter Llama, 32,000 tokens, full fine-tuning"
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers"))
    first = next((it for it in runs if it.name == "trl-defaults"), runs[0])
    logits = settings["batch"] * tokens / options.rows * made.VOCABULARY * 4 / 2**20
    lines = [
        f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores; {versions}. {model}; {options.rows} rows of GSM8K, "
        f"{tokens:,} tokens, {BATCH} rows a step, sequences of {settings['length']}; {options.repeat} repetitions.",
        "" if options.demo else f"The logits of all tokens of a step in float32 are {logits:,.0f} MiB.",
        "",
        f"| run | tokens/s, median | range | against {first.name} | peak RSS, MiB |",
        "|---|--:|--:|--:|--:|",
        *(it.line(tokens, first.speed(tokens)) for it in runs),
    ]
    if any(it.name.startswith("trl") and not it.seconds for it in runs):
        lines += ["", MISSING]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
