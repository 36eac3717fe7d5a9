from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from backend.plan.plan import Plan
from backend.run.event_log import EventLog
from backend.training.journal import Journal, SkippedTooOften, StepRecord
from backend.training.meters.progress import Pace, RunProgress
from backend.training.report import Report
from tests import events_on_disk


def test_the_eta_counts_evaluations_and_saves() -> None:
    pace = Pace(eval_every=10, save_every=20, total=35)
    pace.stepped(2.0)
    pace.eval_seconds, pace.save_seconds = 5.0, 3.0
    assert pace.eta_seconds(5) == 30 * 2.0 + 4 * 5.0 + 3 * 3.0
    assert pace.eta_seconds(35) == 3.0, "the result is still to be saved"


def test_the_pace_follows_slowly() -> None:
    pace = Pace.of(Plan(), 100)
    pace.stepped(1.0)
    pace.stepped(11.0)
    assert pace.step_seconds == pytest.approx(2.0)
    assert pace.evaluates(10) and not pace.evaluates(11) and pace.evaluates(100)
    assert pace.saves(20) and not pace.saves(10)


def test_the_best_and_the_first_loss_are_remembered() -> None:
    progress = RunProgress()
    for step, loss in ((0, 2.0), (5, 1.0), (10, 1.5)):
        progress.step = step
        progress.evaluated(loss)
    assert (progress.eval_before, progress.eval_loss) == (2.0, 1.5)
    assert (progress.best_step, progress.best_loss) == (5, 1.0)


def test_a_loss_that_is_no_number_is_never_the_best() -> None:
    progress = RunProgress()
    for step, loss in ((0, math.nan), (5, 1.0), (10, math.nan), (15, 0.9), (20, math.inf)):
        progress.step = step
        progress.evaluated(loss)
    assert (progress.best_step, progress.best_loss) == (15, 0.9)


def step(number: int, loss: float = 1.0) -> StepRecord:
    return StepRecord(number, 0.1, torch.tensor(loss), torch.tensor(0.5), 1e-3, 100, 60)


def journal(tmp_path: Path, device: str) -> tuple[Journal, Path]:
    path = tmp_path / "events.jsonl"
    return Journal(Report(EventLog(path)), RunProgress(), Pace.of(Plan(), 10), device, "because"), path


def test_on_a_gpu_steps_wait_for_each_other_and_none_is_lost(tmp_path: Path) -> None:
    notes, path = journal(tmp_path, "cuda")
    for number in (1, 2, 3):
        notes.add(step(number))
    assert not path.read_bytes()
    notes.flush()
    events = events_on_disk.read(path)
    assert [event["step"] for event in events] == [1, 2, 3]
    assert len({event["step_seconds"] for event in events}) == 1


def test_on_a_cpu_each_step_is_written_at_once(tmp_path: Path) -> None:
    notes, path = journal(tmp_path, "cpu")
    notes.add(step(1))
    assert [event["step"] for event in events_on_disk.read(path)] == [1]


def test_skipped_steps_count_only_in_a_row(tmp_path: Path) -> None:
    notes, _ = journal(tmp_path, "cpu")
    for number in range(1, 20):
        notes.add(step(number, float("nan") if number % 5 else 1.0))
    with pytest.raises(SkippedTooOften, match="5 steps in a row had a loss that is not finite: because"):
        notes.add(step(20, float("inf")))
