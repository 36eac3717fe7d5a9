"""The correction by this box's own runs, on the demo: predicted against measured, before and after.

    python -m tests.bench.calibration [FOLDER]

Each method runs once; then once with half as many rows a step, predicted by the formulas alone and as corrected by the
first three runs. So nothing is predicted from its own measurement. Prints Markdown for RESULTS.md. With FOLDER the runs
are kept there, and those that are already there are not repeated: today's formulas are compared with them.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import msgspec

from backend.answers import METHODS, Answers
from backend.measured import calibration, records
from backend.measured.correction import Calibration
from backend.measured.records import Record
from backend.model import find
from backend.plan.plan import Plan
from backend.planner import devices, fit, jobs, situation, throughput
from tests.bench.demo import train

FIRST, SECOND = 4, 2
"""Rows a step."""
STEPS = {FIRST: 10, SECOND: 8}
PACKAGES = ("torch", "transformers", "peft", "bitsandbytes")


@dataclass(frozen=True)
class Prediction:
    """Peak and step time of a run."""

    peak_bytes: int
    seconds: float
    low: float
    high: float


def main() -> None:
    """Run, compare, print."""
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["FTTUI_HOME"] = str(Path(sys.argv[1] if len(sys.argv) > 1 else scratch).resolve())
        make_runs()
        runs = [_by_today_s_formulas(record) for record in records.read()[0]]
        runs.sort(key=lambda record: (record.settings["effective_batch"], METHODS.index(record.method)))
        versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
        print(f"\n{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, no GPU; {versions}\n")
        print("\n".join([*against(runs), "", *by_phase(runs), "", *by_component(runs)]))


def make_runs() -> None:
    """Make the runs that are not there yet, the first one of each method before any second one."""
    for rows, steps in STEPS.items():
        settings = (f"effective_batch={rows}", f"eval_every={steps}", f"save_every={steps}", "eval_fraction=0.02")
        there = {record.method for record in records.read()[0] if record.settings["effective_batch"] == rows}
        for method in METHODS:
            if method not in there:
                train(method, steps, *settings)


def against(runs: list[Record]) -> Iterator[str]:
    """Measured and predicted; the second runs are predicted with the first runs' correction too."""
    yield "| run | | measured | formulas alone | error | corrected | error |"
    yield "|---|---|--:|--:|--:|--:|--:|"
    known = _calibration([record for record in runs if record.settings["effective_batch"] == FIRST])
    for record in runs:
        second = record.settings["effective_batch"] == SECOND
        alone, after = predict(record, None), predict(record, known) if second else None
        peak = max(phase.peak_bytes for phase in record.phases.values()) / 2**30
        seconds = tokens_a_step(record) / (record.tokens_per_second or 1)
        later = (after.peak_bytes / 2**30, after.seconds) if after else (None, None)
        yield _line(_name(record), "peak RSS, GiB", peak, alone.peak_bytes / 2**30, later[0])
        yield _line("", f"s a step ({_range(alone, after)})", seconds, alone.seconds, later[1])


def by_phase(runs: list[Record]) -> Iterator[str]:
    """Measured peaks of the phases."""
    names = ("data", "load", "eval", "sample", "train", "checkpoint", "save")
    yield "| peak RSS, GiB | " + " | ".join(names) + " |"
    yield "|---|" + "--:|" * len(names)
    for record in runs:
        peaks = (f"{record.phases[name].peak_bytes / 2**30:.2f}" if name in record.phases else "" for name in names)
        yield f"| {_name(record)} | " + " | ".join(peaks) + " |"


def by_component(runs: list[Record]) -> Iterator[str]:
    """Measured over predicted, and the interpreter's bytes."""
    yield "| measured over predicted | activations | loading | start and saving | speed | interpreter, MiB |"
    yield "|---|--:|--:|--:|--:|--:|"
    for record in runs:
        run = calibration.run(record, record.versions)
        ratios = (run.transient, run.loading, run.overhead, run.speed)
        predicted = run.predicted_fixed_bytes / 2**20
        interpreter = f"{predicted + (run.fixed_bytes or 0) / 2**20:.0f} ({predicted:.0f})"
        yield f"| {_name(record)} | " + " | ".join([*(f"{x:.2f}" if x else "" for x in ratios), interpreter]) + " |"


def predict(record: Record, known: Calibration | None) -> Prediction:
    """The formulas of today for the plan of `record`, corrected by `known`."""
    model, plan = find.find("demo"), _plan(record)
    device = replace(devices.named("cpu"), calibration=known)
    load = throughput.work(plan, situation.data(Answers(data="demo"), model))
    step = throughput.step_seconds(model.shape, plan, device, load)
    assert step is not None
    return Prediction(fit.predict(model, plan, device, load).peak_bytes, step.point, step.low, step.high)


def tokens_a_step(record: Record) -> float:
    """Mean tokens of a step."""
    return throughput.work(_plan(record), situation.data(Answers(data="demo"), find.find("demo"))).step_tokens


def _by_today_s_formulas(record: Record) -> Record:
    model = find.find("demo")
    data, device = situation.data(Answers(data="demo"), model), devices.named("cpu")
    return msgspec.structs.replace(record, predicted=jobs.uncorrected(model, _plan(record), device, data))


def _calibration(runs: list[Record]) -> Calibration:
    return Calibration(tuple(calibration.run(record, record.versions) for record in runs))


def _plan(record: Record) -> Plan:
    return msgspec.convert(record.settings, Plan)


def _name(record: Record) -> str:
    return f"{record.method}, {record.settings['effective_batch']} rows"


def _range(alone: Prediction, after: Prediction | None) -> str:
    shown = after or alone
    return f"{shown.low:.1f} to {shown.high:.1f}"


def _line(name: str, what: str, measured: float, alone: float, after: float | None) -> str:
    corrected = (f"{after:.2f}", f"{(after / measured - 1) * 100:+.0f} %") if after else ("", "")
    cells = (name, what, f"{measured:.2f}", f"{alone:.2f}", f"{(alone / measured - 1) * 100:+.0f} %", *corrected)
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
