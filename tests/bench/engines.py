"""Launch files read by the engines' own parsers, each in an environment of its own; wrong ones must be refused.

    python -m tests.bench.engines --skypilot PYTHON --dstack PYTHON --kubeflow PYTHON [--slurm]

Kubeflow's is that of the package kubeflow-trainer-api. --slurm asks `sbatch --test-only`, for which a cluster must be
up. What is not named is left out and said so.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from backend.launch.targets.launch_file import launch_file
from backend.launch.targets.spec import Options
from backend.plan.job import Job, Prediction
from backend.plan.plan import Plan

PARSERS = {
    "skypilot": "import sys, sky; sky.Task.from_yaml(sys.argv[1])",
    "dstack": (
        "import sys, yaml\n"
        "from dstack._internal.core.models.configurations import parse_run_configuration\n"
        "parse_run_configuration(yaml.safe_load(open(sys.argv[1])))"
    ),
    "kubeflow": """
import sys, yaml
from kubeflow_trainer_api.models import TrainerV1alpha1TrainJob as Job

def lost(said, read, at=""):
    if isinstance(said, dict):
        inner = read if isinstance(read, dict) else {}
        return [x for key in said for x in lost(said[key], inner.get(key), at + "." + key)]
    if isinstance(said, list):
        pairs = zip(said, read or [None] * len(said))
        return [x for i, (one, other) in enumerate(pairs) for x in lost(one, other, f"{at}[{i}]")]
    return [] if said == read else [at]

said = yaml.safe_load(open(sys.argv[1]))
unread = lost(said, Job.from_dict(said).to_dict())
assert not unread, unread
""",
}
WRONG = {
    "skypilot": [("max_hourly_cost", "max_hourly_cots"), ('"file_mounts"', '"file_mount"'), ("name:", "nmae:")],
    "dstack": [("max_price", "max_prize"), ('"no-capacity"', '"no_capacity"'), ('"80GB"', '"lots"')],
    "kubeflow": [("runtimeRef", "runtimeReff"), ("numNodes: 1", "numNodes: one"), ("claimName", "claimNaem")],
}


def main() -> None:
    """Print a table; exit status 1 if a right file is refused or a wrong one accepted."""
    options = argparse.ArgumentParser()
    for name in PARSERS:
        options.add_argument(f"--{name}", default="")
    options.add_argument("--slurm", action="store_true")
    said = vars(options.parse_args())
    print("| file | with | result |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        rows = [row for name in PARSERS for row in _checked(Path(folder), name, said[name])]
        rows += _slurm(Path(folder)) if said["slurm"] else []
    sys.exit(not all(rows))


def _jobs(folder: Path) -> Iterator[tuple[str, Job, Options]]:
    data = folder / "odd $(name) 'x' \"y\" ${{ z }}.jsonl"
    data.write_text("{}\n")
    predicted = Prediction(1, 1, 1, hours=2.0, hours_low=1.5, hours_high=3.0, cost_usd=8.0)
    gpu: dict[str, Any] = {"device": "cuda", "predicted": predicted}
    lora = Plan(method="lora")
    there = Options(data_there="/fttui-runs/rows.jsonl")
    yield (
        "hub, one A100",
        Job("org/m", "org/m", "org/d", lora, device_name="A100 SXM 80GB", **gpu),
        Options(budget_usd=40),
    )
    four = Plan(method="full", processes=4)
    yield (
        "hub, four H100",
        Job("org/m", "org/m", "org/d", four, device_name="H100 SXM", **gpu),
        Options(storage="my-runs"),
    )
    odd = Job("org/m", "org/m", str(data), lora, device_name="RTX 4090", mapping=("prompt=a\n$(b)",), **gpu)
    yield "a file with an odd name", odd, Options()
    yield "the same, there already", odd, there
    yield "a CPU", Job("demo", "demo", "demo", lora, device="cpu", device_name="CPU"), Options()


def _row(what: str, engine: str, result: str, good: bool) -> bool:
    print(f"| {what} | {engine} | {result} |", flush=True)
    return good


def _checked(folder: Path, engine: str, python: str) -> Iterator[bool]:
    if not python:
        yield _row("-", engine, "not tried: no environment named", True)
        return
    for label, job, options in _jobs(folder):
        if engine == "kubeflow" and label == "a file with an odd name":
            continue  # refused: it uploads nothing
        text = launch_file(job, engine, options)
        complaint = _complaint(python, PARSERS[engine], folder / "file.yaml", text)
        yield _row(label, engine, complaint or "accepted", not complaint)
    text = launch_file(*next((job, engine, options) for _, job, options in _jobs(folder)))
    for right, wrong in WRONG[engine]:
        if right in text:
            complaint = _complaint(python, PARSERS[engine], folder / "file.yaml", text.replace(right, wrong))
            yield _row(f"{wrong} for {right}", engine, "refused" if complaint else "ACCEPTED", bool(complaint))


def _complaint(python: str, program: str, file: Path, text: str) -> str:
    file.write_text(text)
    done = subprocess.run(
        [python, "-c", program, str(file)], capture_output=True, text=True, cwd=file.parent, check=False
    )
    return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["exit"])[-1][:200]


def _slurm(folder: Path) -> list[bool]:
    rows = []
    for label, job, options in _jobs(folder):
        if job.device == "cpu":
            file = folder / "job.sbatch"
            file.write_text(launch_file(job, "slurm", options))
            done = subprocess.run(["sbatch", "--test-only", str(file)], capture_output=True, text=True, check=False)
            said = (done.stderr or done.stdout).strip().splitlines()[-1]
            rows.append(_row(label, "slurm", said, done.returncode == 0))
    return rows


if __name__ == "__main__":
    main()
