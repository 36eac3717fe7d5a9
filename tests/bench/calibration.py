"""The correction by this box's own runs, on the demo: predicted against measured, before and after.

    python -m tests.bench.calibration [FOLDER]

Each method runs once with few rows a step; then once with twice as many, foreseen by the formulas alone and as the
runs before it correct them. So nothing is foreseen from its own measurement. Prints Markdown for RESULTS.md. With
FOLDER the runs are kept there, and those that are there already are not made again.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from statistics import median

from backend.planner import calibration
from backend.run import records
from backend.run.records import Record
from tests.bench.demo import METHODS, Events, of, train

SERIES = {"first": (16, "effective_batch=4"), "second": (12, "effective_batch=8")}
"""Steps, and the setting that tells the two runs of a method apart."""
LEFT_OUT = 3
PACKAGES = ("torch", "transformers", "peft", "bitsandbytes")


def main() -> None:
    """Run, compare, print."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(sys.argv[1] if len(sys.argv) > 1 else scratch).resolve()
        folder.mkdir(exist_ok=True)
        os.environ["FTTUI_HOME"] = str(folder)
        runs = {(series, method): events(folder, series, method) for series in SERIES for method in METHODS}
        kept, _ = records.read()
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    print(f"\n{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, no GPU; {versions}\n")
    print("| run | | measured | formulas alone | off | corrected | off |")
    print("|---|---|--:|--:|--:|--:|--:|")
    for (series, method), told in runs.items():
        print("\n".join(rows(f"{method}, {SERIES[series][1]}", told)))
    print("\n| run | data | load | eval | sample | train | checkpoint | save |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    for (series, method), told in runs.items():
        print(f"| {method}, {SERIES[series][1]} | " + " | ".join(phases(told)) + " |")
    print("\nMeasured over foreseen, by component:\n")
    for record in kept:
        print(f"- {record.method}, effective_batch={record.settings['effective_batch']}: {components(record)}")


def events(folder: Path, series: str, method: str) -> Events:
    """The events of one run, made now unless they are in `folder`."""
    file = folder / f"{series}-{method}.json"
    if not file.is_file():
        steps, setting = SERIES[series]
        file.write_text(
            json.dumps(train(method, steps, setting, *(f"{often}={steps}" for often in ("eval_every", "save_every"))))
        )
    found: Events = json.loads(file.read_text())
    return found


def rows(name: str, told: Events) -> Iterator[str]:
    """Peak and step time, in a line each."""
    foreseen = next(of(told, "run_started"))["foreseen"]
    steps = list(of(told, "step"))[LEFT_OUT:]
    tokens = sum(step["tokens"] for step in steps) / len(steps)
    alone, corrected = foreseen["uncorrected"], foreseen["corrected_by_runs"]
    peak = sum(size for part, size in alone["memory"].items() if part != "load_bytes")
    loading = alone["memory"]["load_bytes"] + alone["memory"]["fixed_bytes"]
    measured = next(of(told, "run_finished"))["peak_bytes"]
    rate = median(step["tokens_per_second"] for step in steps)
    in_gib = [size / 2**30 for size in (measured, max(peak, loading), foreseen["peak_bytes"])]
    seconds = [tokens / speed for speed in (rate, alone["tokens_per_second"], foreseen["tokens_per_second"])]
    yield line(name, "peak RSS, GiB", in_gib, corrected)
    yield line("", "s a step", seconds, corrected)


def line(name: str, what: str, figures: list[float], runs: int) -> str:
    """A row of the table: measured, foreseen by the formulas, and corrected; a first run has nothing to correct it."""
    measured, alone, corrected = figures
    after = (f"{corrected:.2f}", f"{(corrected / measured - 1) * 100:+.0f} %") if runs else ("", "")
    cells = (name, what, f"{measured:.2f}", f"{alone:.2f}", f"{(alone / measured - 1) * 100:+.0f} %", *after)
    return "| " + " | ".join(cells) + " |"


def phases(told: Events) -> Iterator[str]:
    """Measured peaks, and behind them the foreseen ones where there are any."""
    found = next(of(told, "measured"))["phases"]
    foreseen = next(of(told, "run_started"))["foreseen"]["phases"]
    for name in ("data", "load", "eval", "sample", "train", "checkpoint", "save"):
        peak = f"{found[name]['peak_bytes'] / 2**30:.2f}" if name in found else ""
        yield f"{peak} ({foreseen[name] / 2**30:.2f})" if name in foreseen else peak


def components(record: Record) -> str:
    """What the run says of each component."""
    run = calibration.run(record, record.versions)
    fixed, foreseen = run.fixed_bytes or 0, run.foreseen_fixed_bytes
    names = ("passing", "loading", "overhead", "speed")
    ratios = ", ".join(f"{name} x{getattr(run, name):.2f}" for name in names if getattr(run, name))
    return f"{ratios}, interpreter {(foreseen + fixed) / 2**20:.0f} MiB for {foreseen / 2**20:.0f}"


if __name__ == "__main__":
    main()
