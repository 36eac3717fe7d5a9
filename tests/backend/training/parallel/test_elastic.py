"""Ranks that torch elastic starts from a launch file: what they train, and what a killed rank or a signal leaves."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from backend.launch import launch, processes
from backend.launch.targets.launch_file import launch_file
from backend.run.control import Inbox
from backend.run.folder import RunFolder, all_runs
from backend.training.saving import checkpoint
from tests.backend.training.helpers import events, log_text, losses, new_run

ROOT = Path(__file__).resolve().parents[4]


def started(text: str, home: Path) -> subprocess.Popen[str]:
    """The script in a group of its own, with the `fttui` of this environment."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "FTTUI_HOME": str(home), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        ["bash", "-c", text],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env=env,
    )


def ranks_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    children = psutil.Process(process.pid).children(recursive=True)
    return [
        x
        for x in children
        if "backend.launch.elastic" in x.cmdline()[:6] and "torch.distributed.run" not in x.cmdline()
    ]


def training(process: subprocess.Popen[str], step: int) -> RunFolder:
    until = time.monotonic() + 120
    while time.monotonic() < until and process.poll() is None:
        runs = all_runs()
        if runs and any(event["step"] >= step for event in events(runs[0], "step")):
            return runs[0]
        time.sleep(0.02)
    process.kill()
    raise AssertionError(process.communicate()[0])


@pytest.fixture
def text(tiny_model: Path, questions: Path, fttui_home: Path) -> str:
    """A launch file for two ranks; its run is the only one of this home."""
    few: dict[str, Any] = {"max_steps": 40, "epochs": 60.0, "save_every": 30, "eval_fraction": 0.0}
    made = new_run(tiny_model, questions, "lora", processes=2, **few)
    job = made.job()
    made.path.rename(fttui_home / "model-of-it")
    return launch_file(replace(job, created=1.0), "torchrun")


def test_a_killed_rank_costs_the_steps_since_the_last_checkpoint(text: str, fttui_home: Path) -> None:
    process = started(text, fttui_home)
    folder = training(process, 5)
    ranks_of(process)[1].kill()
    out, _ = process.communicate(timeout=200)
    assert process.returncode == 0, out[-3000:] + log_text(folder)
    assert [event["state"] for event in events(folder, "run_finished")] == ["done"]
    first: dict[int, float] = {}
    again = []
    for event in events(folder, "step"):
        if event["step"] in first:
            again.append(event["step"])
            assert event["loss"] == pytest.approx(first[event["step"]], rel=1e-6)
        first[event["step"]] = event["loss"]
    assert len(first) == 40 and len(again) >= 5  # steps since the last checkpoint are trained twice, equally

    # one process resumes what two have written: each has the whole adapters
    for path in folder.checkpoints.glob("step-*"):
        if path.name != "step-00000030":
            shutil.rmtree(path)
    processes.change(folder, 1)
    assert launch.train(folder, Inbox(folder.commands_file)) == "done", log_text(folder)
    found = losses(folder)
    assert all(found[step] == pytest.approx(first[step], rel=1e-5) for step in range(31, 41))


def test_a_signal_to_all_stops_with_a_checkpoint_and_the_file_goes_on(text: str, fttui_home: Path) -> None:
    process = started(text, fttui_home)
    folder = training(process, 2)
    everybody = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    os.killpg(process.pid, signal.SIGTERM)
    for one in everybody:
        if one.is_running() and one.pid != process.pid:
            one.send_signal(signal.SIGTERM)
    process.communicate(timeout=90)
    _, left = psutil.wait_procs(everybody, timeout=20)
    assert not left
    (end,) = events(folder, "run_finished")
    assert end["state"] == "stopped" and end["step"] < 40, log_text(folder)
    found, _ = checkpoint.newest(folder.checkpoints)
    assert found is not None and found.manifest.step == end["step"]
    again = started(text, fttui_home)
    out, _ = again.communicate(timeout=200)
    assert again.returncode == 0, out[-3000:]
    assert events(folder, "run_finished")[-1]["state"] == "done" and len(all_runs()) == 1
