"""What a list of runs shows of each."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backend.plan.job import Prediction
from backend.run import keeping, summary
from backend.run.event_log import EventLog
from backend.run.events import (
    Calibrated,
    Evaluated,
    ForgettingMeasured,
    MemoryReading,
    PhasePeak,
    PhasesMeasured,
    RunFinished,
    RunStarted,
    StepDone,
    TaskScored,
)
from backend.run.folder import RunFolder
from backend.run.summary import Summaries, Summary, summarise
from tests.backend.run.test_folder import JOB


def test_a_finished_run_has_predicted_beside_measured() -> None:
    folder = RunFolder.create(JOB)
    log = EventLog(folder.events_file)
    log.write(RunStarted(total_steps=4))
    log.write(Evaluated(step=0, loss=3.0))
    log.write(MemoryReading(peak_bytes=11))
    log.write(StepDone(step=4, total_steps=4, loss=1.0))
    log.write(Evaluated(step=4, loss=2.0))
    log.write(RunFinished(state="done", hours=1.2))
    seen = summarise(folder)
    assert (seen.state, seen.step, seen.loss_before, seen.loss) == ("done", 4, 3.0, 2.0)
    assert (seen.peak_bytes, seen.predicted_peak_bytes, seen.hours, seen.predicted_hours) == (11, 10, 1.2, 1.5)


def test_a_finished_run_has_its_phases_and_what_it_is_for_the_next() -> None:
    predicted = Prediction(
        peak_bytes=10,
        peak_allocated_bytes=8,
        device_bytes=20,
        hours=1.5,
        hours_low=1.0,
        hours_high=2.0,
        tokens_per_second=100.0,
        phases={"load": 3, "train": 8},
        corrected_by_runs=2,
    )
    folder = RunFolder.create(replace(JOB, device="cuda", predicted=predicted))
    log = EventLog(folder.events_file)
    log.write(RunStarted())
    log.write(PhasesMeasured(phases={"load": PhasePeak(peak_bytes=4), "train": PhasePeak(peak_bytes=9)}))
    log.write(Calibrated(kept=True))
    log.write(RunFinished(state="done", tokens_per_second=90.0))
    seen = summarise(folder)
    assert seen.predicted_peak_bytes == 8, "what torch allocates on a GPU is held against the same"
    assert (seen.tokens_per_second, seen.predicted_tokens_per_second) == (90.0, 100.0)
    assert (seen.phases, seen.predicted_phases) == ({"load": 4, "train": 9}, {"load": 3, "train": 8})
    assert (seen.corrected_by_runs, seen.corrects) == (2, True)


def test_what_was_measured_before_training_is_not_said_of_a_run_that_was_stopped() -> None:
    """Of a run that is stopped, the task is not scored again, and its first evaluation may not have been reached."""
    folder = RunFolder.create(JOB)
    log = EventLog(folder.events_file)
    log.write(ForgettingMeasured(step=0, part="prose", loss=2.0, base_loss=2.0, kl=0.0, low=0.0, high=0.0, tokens=9))
    log.write(TaskScored(step=0, name="number", score=0.3, low=0.2, high=0.45, rows=50))
    log.write(StepDone(step=1, total_steps=4, loss=1.0))
    log.write(RunFinished(state="stopped", step=1))
    seen = summarise(folder)
    assert (seen.forgetting, seen.forgetting_by_part) == (None, {})
    assert (seen.task_before, seen.task_score) == (0.3, None)
    assert seen.task == "number: 30 % of 50 right (20 to 45 %) before training"
    log.write(TaskScored(step=4, name="number", score=0.5, low=0.4, high=0.6, rows=50))
    seen = summarise(folder)
    assert (seen.task_before, seen.task_score) == (0.3, 0.5)
    assert seen.task == "number: 50 % of 50 right (40 to 60 %), before 30 %"


def test_a_run_whose_process_is_gone_is_interrupted_and_a_damaged_one_is_listed() -> None:
    folder = RunFolder.create(JOB)
    EventLog(folder.events_file).write(RunStarted(total_steps=4))
    assert summarise(folder).state == "interrupted"
    with folder.hold():
        assert summarise(folder).state == "running"
    folder.plan_file.write_text("plan = [")
    assert summarise(folder).state == "damaged"


def test_only_runs_that_may_have_changed_are_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    quiet, busy = RunFolder.create(JOB), RunFolder.create(JOB)
    read: list[str] = []

    def counted(folder: RunFolder) -> Summary:
        read.append(folder.name)
        return summarise(folder)

    monkeypatch.setattr(summary, "summarise", counted)
    summaries, both = Summaries(), [quiet, busy]
    first = summaries.read(both)
    assert (summaries.read(both), read) == (first, [quiet.name, busy.name])
    log = EventLog(busy.events_file)
    log.write(StepDone(step=1, total_steps=4, loss=1.0))
    log.close()
    assert summaries.read(both)[1].step == 1 and read[2:] == [busy.name]
    with quiet.hold():
        assert summaries.read(both)[0].state == "running"
    keeping.write_note(busy, "the better one")
    assert [x.note for x in summaries.read(both)] == ["", "the better one"]
    assert summaries.read([busy]) == summaries.read(both)[1:]


def test_another_thread_that_reads_meanwhile_leaves_the_list_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    folders = [RunFolder.create(JOB) for _ in range(3)]
    summaries, nested = Summaries(), [False]

    def slow(folder: RunFolder) -> Summary:
        if not nested[0]:
            nested[0] = True
            summaries.read(folders[::-1])
        return summarise(folder)

    monkeypatch.setattr(summary, "summarise", slow)
    assert [x.name for x in summaries.read(folders)] == [x.name for x in folders]
