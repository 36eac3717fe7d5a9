"""The weights with the lowest held-out loss are saved, and a run ends when that loss no longer improves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from backend.launch import launch
from backend.plan.plan import Plan
from backend.run import control, history
from backend.run.control import Inbox
from backend.run.folder import RunFolder
from backend.run.summary import summarise
from backend.training import session
from backend.training.ending import early_stop
from backend.training.meters.progress import RunProgress
from backend.training.saving import best
from backend.training.train import train
from tests.backend.training.helpers import events, log_text, losses, new_run
from tests.backend.training.test_resume import Killed, on_step

RISES: dict[str, Any] = {"learning_rate": 0.2, "schedule": "constant", "eval_every": 1, "save_every": 4, "max_steps": 8}


def by_step(folder: RunFolder) -> dict[int, float]:
    return {event["step"]: event["loss"] for event in events(folder, "eval")}


def lowest(folder: RunFolder) -> int:
    after = {step: loss for step, loss in by_step(folder).items() if step}
    return min(after, key=lambda step: after[step])


def saved(folder: RunFolder) -> dict[str, torch.Tensor]:
    return load_file(folder.result / "adapter_model.safetensors")


def pretend(monkeypatch: pytest.MonkeyPatch, curve: list[float]) -> None:
    """Replace the held-out losses by those listed for each step; the training itself is real."""
    monkeypatch.setattr(session.Session, "_held_out_loss", lambda self, _: curve[self.progress.step])


@pytest.mark.parametrize("method", ["lora", "full"])
def test_the_weights_of_the_lowest_held_out_loss_are_saved(
    method: Any, tiny_model: Path, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, [3.0, 2.5, 2.0, 1.0, 1.5, 1.6])
    ours = new_run(tiny_model, questions, method, eval_every=1, save_every=2, max_steps=5, schedule="constant")
    assert train(ours) == "done"
    (end,) = events(ours, "run_finished")
    assert (end["step"], end["result_step"], end["result_eval_loss"], end["eval_loss"]) == (5, 3, 1.0, 1.0)
    third = new_run(tiny_model, questions, method, eval_every=1, max_steps=3, keep="last", schedule="constant")
    assert train(third) == "done"
    name = "model.safetensors" if method == "full" else "adapter_model.safetensors"
    expected = load_file(third.result / name)
    assert all(torch.equal(value, expected[key]) for key, value in load_file(ours.result / name).items())
    assert [path.name for path in ours.checkpoints.glob("best-*")] == ["best-00000003"]
    assert "lowest at step 3: 1.0000; these weights are saved, not those of step 5" in log_text(ours)
    assert (summarise(ours).loss, summarise(ours).result_step) == (1.0, 3)


def test_last_keeps_the_last(tiny_model: Path, questions: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, [3.0, 1.0, 2.0, 2.1])
    folder = new_run(tiny_model, questions, eval_every=1, max_steps=3, keep="last")
    assert train(folder) == "done"
    (end,) = events(folder, "run_finished")
    assert (end["result_step"], end["result_eval_loss"]) == (3, 2.1)
    assert not list(folder.checkpoints.glob("best-*"))
    assert history.read(folder.events_file).result_loss == 2.1


def test_the_best_survives_a_kill_and_pruning(
    tiny_model: Path, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    curve = [3.0, 2.5, 1.0, 2.6, 2.6, 2.6, 2.6, 2.6, 2.6, 2.6, 2.6]
    pretend(monkeypatch, curve)
    settings: dict[str, Any] = {"eval_every": 1, "save_every": 3, "keep_checkpoints": 1, "dropout": 0.1}
    whole = new_run(tiny_model, questions, **settings)
    assert train(whole) == "done"
    killed = new_run(tiny_model, questions, **settings)

    def die() -> None:
        raise Killed

    on_step(monkeypatch, 8, die)
    with pytest.raises(Killed):
        train(killed)
    assert train(killed) == "done"
    assert losses(killed) == losses(whole)
    assert events(killed, "run_finished")[-1]["result_step"] == 2
    expected = saved(whole)
    assert all(torch.equal(value, expected[name]) for name, value in saved(killed).items())


def test_damaged_best_weights_are_said_and_the_last_ones_saved(
    tiny_model: Path, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, [3.0, 1.0, 2.0, 2.0])
    monkeypatch.setattr(best, "read", lambda *_: None)
    folder = new_run(tiny_model, questions, eval_every=1, max_steps=3)
    assert train(folder) == "done"
    assert events(folder, "run_finished")[-1]["result_step"] == 3
    assert "those of the last step are saved" in log_text(folder)


def test_a_run_that_no_longer_improves_ends(tiny_model: Path, questions: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, [3.0, 2.0, 1.9, 1.95, 1.89, 1.99, 1.0])
    settings: dict[str, Any] = {"eval_every": 1, "early_stopping_patience": 3, "early_stopping_min_delta": 0.05}
    folder = new_run(tiny_model, questions, **settings)
    assert train(folder) == "done"
    (end,) = events(folder, "run_finished")
    assert (end["step"], end["total_steps"], end["result_step"]) == (5, 10, 4)
    assert end["reason"].startswith("ended early: in 3 evaluations the held-out loss has not fallen by more than 0.05")
    assert events(folder, "checkpoint")[-1]["step"] == 5
    assert train(folder) == "done", "there is nothing to go on with"
    assert len(events(folder, "step")) == 5


def test_a_stop_keeps_the_newest_weights_if_nothing_says_that_they_are_worse(
    tiny_model: Path, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, [3.0, 2.0, 1.0, 2.0, 2.0, 2.0])
    folder = new_run(tiny_model, questions, eval_every=2, max_steps=5)
    on_step(monkeypatch, 3, lambda: control.send(folder.commands_file, "stop"))
    assert train(folder) == "stopped"
    (end,) = events(folder, "run_finished")
    assert (end["result_step"], end["result_eval_loss"]) == (3, None)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_on_two_ranks_the_best_is_the_same(method: Any, tiny_model: Path, questions: Path) -> None:
    two = new_run(tiny_model, questions, method, processes=2, **RISES)
    assert launch.train(two, Inbox(two.commands_file)) == "done", log_text(two)
    (end,) = events(two, "run_finished")
    assert end["result_step"] == lowest(two)


@pytest.mark.parametrize(("lowest", "said"), [(2.0, "the one before training"), (1.9, "the one at step 1")])
def test_the_end_names_the_loss_that_was_not_undercut(lowest: float, said: str) -> None:
    """The first evaluation's loss may be the run's lowest; it then counts as one of those without improvement."""
    progress = RunProgress(step=1, eval_before=2.0, best_loss=lowest, best_step=1, stale_evaluations=1)
    end = early_stop(Plan(early_stopping_patience=1), progress)
    assert end is not None
    assert str(end.reason).endswith(f"in 1 evaluation the held-out loss has not fallen below {said}")


def test_an_end_by_less_than_the_minimum_delta_names_no_loss_as_not_undercut() -> None:
    """The loss may have fallen all the time: the lowest is then that of the evaluation which ended the run."""
    progress, plan = RunProgress(), Plan(early_stopping_patience=2, early_stopping_min_delta=0.2)
    for step, loss in enumerate((2.0, 1.9, 1.8)):
        progress.step = step
        progress.evaluated(loss, plan.early_stopping_min_delta)
    end = early_stop(plan, progress)
    assert end is not None and progress.best_step == 2
    said = "in 2 evaluations the held-out loss has not fallen by more than 0.2 below the lowest before each"
    assert str(end.reason).endswith(said)
