"""A finished run corrects the next prediction on this box."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from msgspec import structs

from backend import constants
from backend.answers import Answers
from backend.measured import records
from backend.planner import jobs, situation
from backend.run.folder import RunFolder
from backend.training.train import train
from tests.backend.training.helpers import events, log_text


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every run counts as undisturbed, whatever else runs on this machine."""
    table = constants.calibration()
    steady = structs.replace(table.steady, most_spread=math.inf, most_others_percent=100.0)
    monkeypatch.setattr(constants, "calibration", lambda: structs.replace(table, steady=steady))


@pytest.mark.usefixtures("alone")
def test_a_finished_run_corrects_the_next_prediction(tiny_model: Path, questions: Path) -> None:
    settings = ("effective_batch=4", "micro_batch=4", "checkpointing=false", "chunked_loss=false", "eval_fraction=0.1")
    answers = Answers(model=str(tiny_model), data=str(questions), gpu="cpu", max_length=128, epochs=2, set=settings)
    before = situation.predict(answers)
    assert before.device.calibration is None
    folder = RunFolder.create(jobs.job(before, "lora"))
    assert train(folder) == "done", folder.log_file.read_text()

    (measured,) = events(folder, "measured")
    assert {"data", "load", "eval", "sample", "train", "checkpoint", "save"} == set(measured["phases"])
    assert all(phase["peak_bytes"] >= phase["rest_bytes"] > 0 for phase in measured["phases"].values())
    assert [x["kept"] for x in events(folder, "calibration")] == [True]
    assert "the next prediction on this box is corrected by this run" in log_text(folder)
    (kept,), damaged = records.read()
    assert (kept.run, kept.steps, damaged) == (folder.name, 15, 0)
    rates = sorted(x["tokens_per_second"] for x in events(folder, "step")[3:])
    assert kept.tokens_per_second == pytest.approx(rates[7])

    after = situation.predict(answers)
    first, now = (x.methods["lora"].tokens_per_second.point for x in (before, after))
    assert kept.tokens_per_second is not None
    assert abs(now - kept.tokens_per_second) < abs(first - kept.tokens_per_second)
    assert any(note.startswith("LoRA is corrected by 1 run on this box") for note in after.notes)


def test_a_run_that_was_stopped_at_once_corrects_nothing(tiny_model: Path, questions: Path) -> None:
    answers = Answers(model=str(tiny_model), data=str(questions), gpu="cpu", max_length=128, set=("max_steps=2",))
    folder = RunFolder.create(jobs.job(situation.predict(answers), "lora"))
    assert train(folder) == "done", folder.log_file.read_text()
    assert [x["kept"] for x in events(folder, "calibration")] == [False]
    assert "no prediction is corrected by this run: too few steps" in log_text(folder)
    assert situation.predict(answers).device.calibration is None


def test_a_box_that_keeps_no_records_trains_all_the_same(
    tiny_model: Path, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(line: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(records, "_append", full)
    answers = Answers(model=str(tiny_model), data=str(questions), gpu="cpu", max_length=128, set=("max_steps=9",))
    folder = RunFolder.create(jobs.job(situation.predict(answers), "lora"))
    assert train(folder) == "done", folder.log_file.read_text()
    assert "no prediction is corrected by this run: [Errno 28] No space left on device" in log_text(folder)
