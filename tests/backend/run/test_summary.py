"""What a list of runs shows of each."""

from __future__ import annotations

from dataclasses import replace

from backend.plan.job import Prediction
from backend.run.event_log import EventLog
from backend.run.events import (
    Calibrated,
    Evaluated,
    MemoryReading,
    PhasePeak,
    PhasesMeasured,
    RunFinished,
    RunStarted,
    StepDone,
)
from backend.run.folder import RunFolder
from backend.run.summary import summarise
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


def test_a_run_whose_process_is_gone_is_interrupted_and_a_damaged_one_is_listed() -> None:
    folder = RunFolder.create(JOB)
    EventLog(folder.events_file).write(RunStarted(total_steps=4))
    assert summarise(folder).state == "interrupted"
    with folder.hold():
        assert summarise(folder).state == "running"
    folder.plan_file.write_text("plan = [")
    assert summarise(folder).state == "damaged"
