"""A scheduler signals every process of a job at once: a checkpoint is written, and no process is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from backend.run.folder import RunFolder, all_runs
from backend.training.saving import checkpoint
from tests.backend.training.helpers import events, log_text

ROOT = Path(__file__).resolve().parents[4]


def started(model: Path, data: Path, *more: str) -> subprocess.Popen[str]:
    """`fttui train` on two processes, in a group of its own, as a scheduler starts a job."""
    said = ["--model", str(model), "--data", str(data), "--method", "lora", "--set", "processes=2"]
    said += ["--set", "max_steps=5000", "--set", "save_every=4000", "--set", "eval_fraction=0", "--anyway", *more]
    return subprocess.Popen(
        [sys.executable, "-m", "tui", "train", *said],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def training(process: subprocess.Popen[str]) -> RunFolder:
    """The run, once it has made steps."""
    until = time.monotonic() + 90
    while time.monotonic() < until and process.poll() is None:
        runs = all_runs()
        if runs and events(runs[0], "step"):
            return runs[0]
        time.sleep(0.1)
    process.kill()
    raise AssertionError(process.communicate()[0])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_all_processes_are_signalled_at_once(number: int, tiny_model: Path, questions: Path, fttui_home: Path) -> None:
    process = started(tiny_model, questions, *(["--or-resume"] if number == signal.SIGUSR1 else []))
    folder = training(process)
    parent = psutil.Process(process.pid)
    everybody = [parent, *parent.children(recursive=True)]
    assert len(everybody) >= 3
    for one in everybody:
        one.send_signal(number)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == (75 if number == signal.SIGUSR1 else 130), out + log_text(folder)
    (end,) = events(folder, "run_finished")
    assert end["state"] == "stopped" and 0 < end["step"] < 5000
    found, _ = checkpoint.newest(folder.checkpoints)
    assert found is not None and found.manifest.step == end["step"]
    _, left = psutil.wait_procs(everybody, timeout=10)
    assert not left
