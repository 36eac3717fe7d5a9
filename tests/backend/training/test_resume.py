"""Stopped, paused or killed: a resumed run has the losses of an uninterrupted one, bit for bit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from backend.answers import Method
from backend.launch import launch
from backend.run import control
from backend.run.events import Event, StepDone
from backend.run.folder import RunFolder
from backend.training import session
from backend.training.report import Report
from backend.training.saving import checkpoint
from backend.training.setup import same_data
from backend.training.train import train
from tests.backend.training.helpers import ALL, events, log_text, losses, new_run

SETTINGS: dict[str, Any] = {"dropout": 0.1, "save_every": 2, "eval_every": 3}
EIGHT_BIT_IN_BACKWARD = {"optimizer": "adamw_8bit", "optimizer_in_backward": True}
REPOSITORY = Path(__file__).resolve().parents[3]


class Killed(BaseException):
    """Stands in for kill -9: nothing catches it."""


def finish(folder: RunFolder) -> tuple[dict[int, float], dict[str, torch.Tensor], list[float]]:
    """Train to the end; curve, final weights and held-out losses."""
    assert train(folder) == "done", folder.log_file.read_text()
    found, _ = checkpoint.newest(folder.checkpoints)
    assert found is not None and found.manifest.step == 10
    by_step = {event["step"]: event["loss"] for event in events(folder, "eval")}
    return losses(folder), found.weights(), [by_step[step] for step in sorted(by_step)]


def assert_equal_runs(ours: Any, theirs: Any) -> None:
    assert ours[0] == theirs[0]
    assert ours[2] == theirs[2]
    assert all(torch.equal(ours[1][name], value) for name, value in theirs[1].items())


def on_step(monkeypatch: pytest.MonkeyPatch, number: int, action: Any) -> None:
    """Call `action` when the event of step `number` is written, once."""
    write = Report.event
    done: list[int] = []

    def event(self: Report, event: Event) -> None:
        write(self, event)
        if isinstance(event, StepDone) and event.step == number and not done:
            done.append(number)
            action()

    monkeypatch.setattr(Report, "event", event)


@pytest.mark.parametrize(
    ("method", "extra"),
    [
        ("lora", {}),
        ("lora", {"dropout": 0.0, "attention": "varlen", "precision": "bfloat16"}),
        ("qlora", {}),
        ("full", {}),
        ("full", {"optimizer_in_backward": True}),
        ("lora", {"optimizer": "adamw_8bit"}),
        ("full", {"optimizer": "adamw_8bit"}),
        ("full", {"optimizer": "paged_adamw_8bit"}),
        ("full", {"optimizer": "adafactor"}),
        ("lora", {"precision": "float16"}),
        ("full", {"precision": "bfloat16", "chunked_loss": True}),
        ("full", {"precision": "bfloat16", "weights_dtype": "bfloat16"}),
        ("full", {"precision": "bfloat16", "weights_dtype": "bfloat16", **EIGHT_BIT_IN_BACKWARD}),
    ],
)
def test_killed_in_the_middle(
    method: Method, extra: dict[str, Any], tiny_model: Path, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = finish(new_run(tiny_model, questions, method, **{**SETTINGS, **extra}))
    folder = new_run(tiny_model, questions, method, **{**SETTINGS, **extra})

    def die() -> None:
        raise Killed

    on_step(monkeypatch, 7, die)
    with pytest.raises(Killed):
        train(folder)
    assert not events(folder, "run_finished")
    ours = finish(folder)
    assert events(folder, "run_started")[-1]["step"] == 6
    assert_equal_runs(ours, undisturbed)


@pytest.mark.parametrize("method", ALL)
@pytest.mark.parametrize(("command", "state"), [("stop", "stopped"), ("pause", "paused")])
def test_stopped_and_resumed(
    method: Method,
    command: control.Command,
    state: str,
    tiny_model: Path,
    questions: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    undisturbed = finish(new_run(tiny_model, questions, method, **SETTINGS))
    folder = new_run(tiny_model, questions, method, **SETTINGS)
    on_step(monkeypatch, 5, lambda: control.send(folder.commands_file, command))
    assert train(folder) == state
    (end,) = events(folder, "run_finished")
    assert (end["state"], end["step"]) == (state, 5)
    assert (end["result"] is not None) == folder.result.exists() == (command == "stop")
    assert events(folder, "checkpoint")[-1]["step"] == 5
    assert_equal_runs(finish(folder), undisturbed)


def test_a_damaged_checkpoint_is_passed_over(tiny_model: Path, questions: Path) -> None:
    undisturbed = finish(new_run(tiny_model, questions, "lora", **SETTINGS))
    folder = new_run(tiny_model, questions, "lora", **SETTINGS)
    finish(folder)
    last = folder.checkpoints / "step-00000010" / "weights.safetensors"
    damaged = bytearray(last.read_bytes())
    damaged[-1] ^= 1
    last.write_bytes(damaged)
    ours = finish(folder)
    assert "step-00000010 is damaged (weights.safetensors has changed since it was written)" in log_text(folder)
    assert events(folder, "run_started")[-1]["step"] == 8
    assert_equal_runs(ours, undisturbed)


def test_a_checkpoint_on_command(tiny_model: Path, questions: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = new_run(tiny_model, questions, "lora", save_every=100)
    on_step(monkeypatch, 3, lambda: control.send(folder.commands_file, "checkpoint"))
    assert train(folder) == "done"
    assert [event["step"] for event in events(folder, "checkpoint")] == [3, 10]


def test_stopped_before_its_first_step(tiny_model: Path, questions: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = new_run(tiny_model, questions, "lora")
    monkeypatch.setattr(session.Session, "evaluate", lambda *_: control.send(folder.commands_file, "stop"))
    assert train(folder) == "stopped"
    monkeypatch.undo()
    assert events(folder, "run_finished")[-1]["step"] == 0
    assert [event["step"] for event in events(folder, "checkpoint")] == [0]


def test_stopped_before_an_evaluation_it_has_no_later_loss(
    tiny_model: Path, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = new_run(tiny_model, questions, eval_every=5)
    on_step(monkeypatch, 2, lambda: control.send(folder.commands_file, "stop"))
    assert train(folder) == "stopped"
    (end,) = events(folder, "run_finished")
    assert end["eval_loss_before"] > 0 and (end["eval_loss"], end["result_eval_loss"]) == (None, None)


def test_a_stop_before_the_trainer_is_there_counts_and_one_of_an_earlier_life_does_not(
    tiny_model: Path, questions: Path
) -> None:
    folder = new_run(tiny_model, questions, "lora", max_steps=2)
    control.send(folder.commands_file, "stop")
    trainer = launch.Trainer(folder)
    trainer.stop()  # usually while torch is still being imported
    trainer.run()
    assert trainer.state == "stopped" and not events(folder, "step")
    again = launch.Trainer(folder)
    again.run()
    assert again.state == "done"


def test_data_that_changed_is_refused(tiny_model: Path, questions: Path, tmp_path: Path) -> None:
    data = tmp_path / "mine.jsonl"
    data.write_text(questions.read_text())
    folder = new_run(tiny_model, data, "lora", max_steps=2)
    assert train(folder) == "done"
    data.write_text("".join(questions.read_text().splitlines(keepends=True)[:-1]))
    assert train(folder) == "failed"
    assert "has changed since the checkpoint" in events(folder, "run_finished")[-1]["error"]


def test_a_validation_split_that_changed_is_said_and_one_that_is_gone_is_refused(
    tiny_model: Path, questions: Path, tmp_path: Path
) -> None:
    """Without it, rows of the training split would be held out, and every later step would have others."""
    data = tmp_path / "mine"
    data.mkdir()
    rows = questions.read_text().splitlines(keepends=True)
    validation = data / "validation.jsonl"
    (data / "train.jsonl").write_text("".join(rows[:30]))
    validation.write_text("".join(rows[30:]))
    folder = new_run(tiny_model, data, "lora", max_steps=2)
    assert train(folder) == "done"
    validation.write_text("".join(rows[33:]))
    assert train(folder) == "done"
    said = [x["text"] for x in events(folder, "log") if "validation rows have changed" in x["text"]]
    assert len(said) == 1
    validation.unlink()
    assert train(folder) == "failed"
    error = events(folder, "run_finished")[-1]["error"]
    assert "the validation split beside the training rows is gone" in error and "put it back, or start" in error


KILL = """
import os, signal, sys
from pathlib import Path
from backend.run.events import StepDone
from backend.run.folder import RunFolder
from backend.training.report import Report
from backend.training.train import train
write = Report.event
def deadly(self, event):
    write(self, event)
    if isinstance(event, StepDone) and event.step == 5:
        os.kill(os.getpid(), signal.SIGKILL)
Report.event = deadly
train(RunFolder(Path(sys.argv[1])))
"""


def test_kill_9_for_real(tiny_model: Path, questions: Path) -> None:
    undisturbed = finish(new_run(tiny_model, questions, "full", **SETTINGS))
    folder = new_run(tiny_model, questions, "full", **SETTINGS)
    killed = subprocess.run([sys.executable, "-c", KILL, str(folder.path)], cwd=REPOSITORY, env=os.environ, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not folder.is_alive()
    ours = finish(folder)
    assert events(folder, "run_started")[-1]["step"] == 4
    assert_equal_runs(ours, undisturbed)


def test_with_all_checkpoints_damaged_it_does_not_begin_at_0_silently(tiny_model: Path, questions: Path) -> None:
    folder = new_run(tiny_model, questions, "lora", **SETTINGS)
    undisturbed = finish(folder)
    for manifest in folder.checkpoints.glob("*/manifest.json"):
        manifest.write_bytes(b"\xff{")
    assert train(folder) == "failed"
    end = events(folder, "run_finished")[-1]
    assert f"`fttui resume {folder.name} --from-start` trains it again from step 0" in end["error"]
    assert end["wrong_input"]
    assert folder.start_again() is not None
    ours = finish(folder)
    assert_equal_runs(ours, undisturbed)


@pytest.mark.parametrize(("saved", "is_same"), [("key 9", True), ("key 9 more", True), ("key", True), ("ke", False)])
def test_data_is_known_by_what_an_earlier_version_wrote_too(saved: str, is_same: bool) -> None:
    assert same_data(saved, "key 9 more") == is_same
    assert not same_data("key 9 more", "key 9")
