"""What a list of runs shows of each."""

from __future__ import annotations

from backend.run.events import EventLog
from backend.run.folder import RunFolder
from backend.run.summary import summarise
from tests.backend.run.test_folder import JOB


def test_a_finished_run_has_foreseen_beside_measured() -> None:
    folder = RunFolder.create(JOB)
    log = EventLog(folder.events_file)
    log.write("run_started", total_steps=4)
    log.write("eval", step=0, loss=3.0)
    log.write("memory", peak_bytes=11)
    log.write("step", step=4, total_steps=4, loss=1.0)
    log.write("eval", step=4, loss=2.0)
    log.write("run_finished", state="done", hours=1.2)
    seen = summarise(folder)
    assert (seen.state, seen.step, seen.loss_before, seen.loss) == ("done", 4, 3.0, 2.0)
    assert (seen.peak_bytes, seen.foreseen_peak_bytes, seen.hours, seen.foreseen_hours) == (11, 10, 1.2, 1.5)


def test_a_run_whose_process_is_gone_is_interrupted_and_a_damaged_one_is_listed() -> None:
    folder = RunFolder.create(JOB)
    EventLog(folder.events_file).write("run_started", total_steps=4)
    assert summarise(folder).state == "interrupted"
    with folder.hold():
        assert summarise(folder).state == "running"
    folder.plan_file.write_text("plan = [")
    assert summarise(folder).state == "damaged"
