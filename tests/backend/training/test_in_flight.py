"""Changes during training: settings by command, and the budget as a limit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backend.errors import UserError
from backend.plan.job import Prediction
from backend.run import control, history, plan_file
from backend.run.control import Change, Inbox
from backend.run.folder import RunFolder
from backend.training import session
from backend.training.train import train
from tests.backend.training.helpers import events, new_run
from tests.backend.training.test_resume import Killed, on_step
from tui.commands.control import change

SETTINGS: dict[str, Any] = {"schedule": "constant", "warmup_fraction": 0.0, "save_every": 2, "eval_every": 5}


def rates(folder: RunFolder) -> list[float]:
    by_step = {event["step"]: event["learning_rate"] for event in events(folder, "step")}
    return [by_step[step] for step in sorted(by_step)]


def test_the_rate_and_the_last_step_change_in_flight_and_after_a_resume(
    tiny_model: Path, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = new_run(tiny_model, questions, **SETTINGS)

    def ask() -> None:
        control.send_change(folder.commands_file, "learning_rate", 1e-3)
        control.send_change(folder.commands_file, "max_steps", 7)
        control.send_change(folder.commands_file, "eval_every", 2)

    def die() -> None:
        raise Killed

    on_step(monkeypatch, 3, ask)
    on_step(monkeypatch, 6, die)
    with pytest.raises(Killed):
        train(folder)
    assert train(folder) == "done"
    assert rates(folder) == [5e-3] * 3 + [1e-3] * 4
    changed = events(folder, "replanned")
    assert [event["changed"] for event in changed] == [{"learning_rate": 1e-3}, {"max_steps": 7}, {"eval_every": 2}]
    assert changed[0]["text"] == "learning_rate is 0.001 from step 4 on, as you asked"
    past = history.read(folder.events_file)
    assert past.total_steps == 7 and [x.step for x in past.evaluations] == [0, 4, 6, 7]


@pytest.mark.parametrize("how", ["a last step that is passed", "finish"])
def test_the_last_step_is_evaluated_wherever_it_comes(
    how: str, tiny_model: Path, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = new_run(tiny_model, questions, **SETTINGS)

    def ask() -> None:
        if how == "finish":
            control.send(folder.commands_file, "finish")
        else:
            control.send_change(folder.commands_file, "max_steps", 1)

    on_step(monkeypatch, 3, ask)
    assert train(folder) == "done"
    past = history.read(folder.events_file)
    assert (past.total_steps, [x.step for x in past.evaluations]) == (4, [0, 4])
    assert past.measured.as_planned == (how == "finish")


def test_what_can_not_be_changed_is_no_command(tmp_path: Path) -> None:
    file = tmp_path / "commands.jsonl"
    inbox = Inbox(file)
    for field, value in (("rank", 8), ("learning_rate", -1.0), ("learning_rate", 2e-4), ("eval_every", 5)):
        control.send_change(file, field, value)
    file.open("a").write('{"event": "change", "field": 3}\n{"event": "change"}\n')
    control.send(file, "checkpoint")
    assert inbox.poll() == [Change("learning_rate", 2e-4), Change("eval_every", 5), "checkpoint"]
    assert not inbox.has_end()


def test_the_command_names_what_can_be_changed(tiny_model: Path, questions: Path) -> None:
    folder = new_run(tiny_model, questions)
    with pytest.raises(UserError, match="rank can't be changed while a run trains; learning_rate, eval_every"):
        change(folder.name, set=("rank=4",))
    with pytest.raises(UserError, match="is not being trained now"):
        change(folder.name, set=("learning_rate=1e-4",))


def test_the_budget_is_a_cap(tiny_model: Path, questions: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = new_run(tiny_model, questions, budget_stop=True, **SETTINGS)
    priced = Prediction(peak_bytes=1, peak_allocated_bytes=1, device_bytes=1, price_usd_per_hour=3600.0)
    plan_file.write(folder.plan_file, replace(folder.job(), predicted=priced, budget_usd=1000.0))
    monkeypatch.setattr(
        session.Session, "spent_usd", lambda self, seconds=0.0: 150.0 * self.progress.step + (60.0 if seconds else 0.0)
    )
    assert train(folder) == "stopped"
    (end,) = events(folder, "run_finished")
    assert end["step"] == 7, "after the seventh step, 1,050 dollars would be spent with a checkpoint"
    assert end["reason"].startswith("stopped at the budget: $1,050 of $1,000 are spent")
    assert events(folder, "checkpoint")[-1]["step"] == 7 and end["result"]
    assert events(folder, "step")[-1]["spent_usd"] == 1050.0


def test_the_effect_of_a_change_is_said(tiny_model: Path, questions: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = new_run(tiny_model, questions, eval_fraction=0.0, max_steps=5, **SETTINGS)

    def ask() -> None:
        control.send_change(folder.commands_file, "max_steps", 1000)
        control.send_change(folder.commands_file, "early_stopping_patience", 2)
        control.send(folder.commands_file, "finish")
        control.send_change(folder.commands_file, "learning_rate", 1e-3)

    on_step(monkeypatch, 3, ask)
    assert train(folder) == "done"
    texts = [event["text"] for event in events(folder, "replanned")]
    assert texts[0] == "max_steps is 1000 from step 4 on, as you asked: the run ends at step 10"
    assert texts[1].endswith("as you asked; but no row is held out to tell by when to stop")
    assert len(rates(folder)) == 4, "a change after `finish` does not undo it"
    assert rates(folder)[3] == 1e-3


def test_a_change_after_a_stop_is_kept_for_the_resume(
    tiny_model: Path, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = new_run(tiny_model, questions, max_steps=4, **SETTINGS)

    def ask() -> None:
        control.send(folder.commands_file, "stop")
        control.send_change(folder.commands_file, "learning_rate", 1e-3)

    on_step(monkeypatch, 2, ask)
    assert train(folder) == "stopped" and train(folder) == "done"
    assert rates(folder) == [5e-3] * 2 + [1e-3] * 2


def test_several_processes_share_one_cpu_and_its_price(tiny_model: Path, questions: Path) -> None:
    job = new_run(tiny_model, questions, processes=2).job()
    assert job.paid_devices == 1 and replace(job, device="cuda").paid_devices == 2
