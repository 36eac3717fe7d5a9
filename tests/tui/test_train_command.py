"""`fttui train`, `stop` and `resume` as a user runs them: real processes, a tiny model, real training."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from backend.run.folder import RunFolder, all_runs
from backend.run.history import read
from tests.backend.training.helpers import new_run

pytestmark = pytest.mark.torch
ROOT = Path(__file__).parents[2]
SHORT = ("--max-length", "64", "--set", "precision=float32")


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "tui", *arguments]


def fttui(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def events_of(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


@pytest.mark.parametrize("method", ["lora", "qlora", "full"])
def test_a_run_prints_its_events_and_leaves_a_result(method: str, tiny_model: Path, questions: Path) -> None:
    steps = ("--set", "max_steps=3", "--epochs", "1", "--effective-batch", "4", *SHORT)
    done = fttui(
        "train",
        "--model",
        str(tiny_model),
        "--data",
        str(questions),
        "--method",
        method,
        "--json",
        "--seed",
        "7",
        *steps,
    )
    assert done.returncode == 0, done.stderr
    events = events_of(done.stdout)
    names = [event["event"] for event in events]
    assert names[0] == "run_started" and names[-1] == "run_finished"
    assert {"phase", "step", "memory", "eval", "checkpoint", "finding"} <= set(names)
    found = next(event for event in events if event["event"] == "finding")
    assert names.index("finding") < names.index("step") and found["severity"] in ("warns", "notes")
    assert found["text"] and {"severity", "text", "fix"} <= set(found)
    steps_made = [event for event in events if event["event"] == "step"]
    assert [event["step"] for event in steps_made] == [1, 2, 3]
    assert {"total_steps", "loss", "learning_rate", "grad_norm", "tokens", "tokens_per_second"} <= set(steps_made[0])
    assert {"step_seconds", "eta_seconds"} <= set(steps_made[0])
    assert events[-1]["state"] == "done"
    wanted = "model.safetensors" if method == "full" else "adapter_model.safetensors"
    assert (Path(events[-1]["result"]) / wanted).is_file()
    (run,) = all_runs()
    assert run.job().plan.seed == 7
    assert not run.is_alive()


def test_data_of_which_no_answer_fits_is_wrong_input(tiny_model: Path, tmp_path: Path) -> None:
    rows = [{"question": "why " * 400, "answer": "So."}] * 40
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = fttui("train", "--model", str(tiny_model), "--data", str(data), "--method", "lora", *SHORT)
    assert done.returncode == 2, done.stdout
    assert done.stderr.count("\n") == 1
    assert "begins within max_length 64" in done.stderr


def test_a_run_whose_data_is_gone_ends_as_wrong_input(tiny_model: Path, tmp_path: Path) -> None:
    run = new_run(tiny_model, tmp_path / "gone.jsonl")
    done = fttui("resume", run.name)
    assert done.returncode == 2, done.stdout
    assert done.stderr.count("\n") == 1
    assert "gone.jsonl does not exist" in done.stderr
    assert read(run.events_file).state == "failed"


def test_ctrl_c_stops_with_a_checkpoint_and_resume_continues(tiny_model: Path, questions: Path) -> None:
    arguments = ("train", "--model", str(tiny_model), "--data", str(questions), "--method", "lora", "--json", *SHORT)
    settings = ("--effective-batch", "2", "--epochs", "300", "--set", "eval_every=100000")
    with subprocess.Popen(command(*arguments, *settings), cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if json.loads(line)["event"] == "step":
                process.send_signal(signal.SIGINT)
                break
        rest = process.stdout.read()
        assert process.wait(60) == 130
    finished = events_of(rest)[-1]
    assert finished["state"] == "stopped"
    (run,) = all_runs()
    assert list(run.checkpoints.iterdir())

    before = read(run.events_file).step
    with subprocess.Popen(command("resume", "--json"), cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "step":
                assert event["step"] == before + 1
                break
        assert fttui("pause").returncode == 0
        process.stdout.read()
        assert process.wait(60) == 130
    assert read(run.events_file).state == "paused"


def test_detach_gives_the_shell_back_and_stop_reaches_it(tiny_model: Path, questions: Path) -> None:
    arguments = ("train", "--model", str(tiny_model), "--data", str(questions), "--method", "lora", "--detach", *SHORT)
    started = fttui(*arguments, "--epochs", "1000")
    assert started.returncode == 0
    assert "trains in the background" in started.stdout
    (run,) = all_runs()
    try:
        wait_for(run, lambda history: history.step > 0)
    finally:
        assert fttui("stop", run.name).returncode == 0  # otherwise it would train on after a failed test
    wait_for(run, lambda history: bool(history.finished))
    assert read(run.events_file).state == "stopped"


def wait_for(run: RunFolder, condition: Any) -> None:
    watching = subprocess.Popen(command("watch", run.name, "--plain"), cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert watching.stdout is not None
    for _ in watching.stdout:
        if condition(read(run.events_file)):
            break
    else:
        assert condition(read(run.events_file))
    watching.kill()
    watching.wait()
    watching.stdout.close()


def test_what_does_not_fit_or_is_over_budget_is_not_started(tiny_model: Path, questions: Path) -> None:
    base = ("train", "--model", str(tiny_model), "--data", str(questions))
    over = fttui(*base, "--budget", "0.0000001", "--price", "1000")
    assert over.returncode == 3
    assert "budget" in over.stderr
    late = fttui(*base, "--method", "lora", "--deadline", "0.0001")
    assert late.returncode == 3
    assert "--anyway" in late.stderr
    assert all_runs() == []


def test_a_run_that_breaks_exits_4_with_one_sentence(tiny_model: Path, tmp_path: Path) -> None:
    data = tmp_path / "rows.jsonl"
    data.write_text('{"question": "%s", "answer": "no room left"}\n' % ("why " * 200) * 4)
    done = fttui("train", "--model", str(tiny_model), "--data", str(data), "--method", "lora", "--anyway", *SHORT)
    assert done.returncode in (2, 4)
    assert "Traceback" not in done.stdout + done.stderr


def test_standard_output_has_only_the_runs_lines(tiny_model: Path, questions: Path) -> None:
    done = fttui(
        *("train", "--model", str(tiny_model), "--data", str(questions), "--method", "qlora", "--set", "max_steps=1"),
        *SHORT,
    )
    assert done.returncode == 0
    assert done.stderr == "Under 50 rows a good prompt or retrieval usually does better than fine-tuning.\n"
    assert all(line.startswith("run ") or line[2] == ":" for line in done.stdout.splitlines())
    assert os.linesep + os.linesep not in done.stdout
