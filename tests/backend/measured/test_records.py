"""The records of finished runs: what is kept, what is not, and damaged files that do no harm."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backend.answers import Answers
from backend.measured import records
from backend.plan.job import Job
from backend.planner import jobs
from backend.planner.compare import compare
from backend.run.event_log import EventLog
from backend.run.events import CpuReading, PhasePeak, PhasesMeasured, RunStarted, StepDone
from backend.run.folder import RunFolder
from tests.shapes import CPU, LLAMA_1B, model, rows

PHASE = PhasePeak(peak_bytes=5, reserved_bytes=5, rest_bytes=3, seconds=1.5, times=1)


def a_job() -> Job:
    answers = Answers(model="1b", data="rows.jsonl")
    return jobs.job(compare(answers, replace(CPU, name="EPYC, 2 cores"), model(LLAMA_1B), rows(300)), "lora")


def a_run(
    rates: list[float],
    job: Job | None = None,
    *,
    as_planned: bool = True,
    own_percent: float = 48.0,
    others_percent: float = 1.0,
) -> RunFolder:
    """A run whose steps had these tokens per second, after an earlier attempt at other speeds."""
    folder = RunFolder.create(job or a_job())
    log = EventLog(folder.events_file)
    for life in ([1.0] * 9, rates):
        log.write(RunStarted(versions={"torch": "2.13.0"}))
        for step, rate in enumerate(life):
            log.write(StepDone(step=step, tokens_per_second=rate))
            log.write(CpuReading(load_percent=own_percent + others_percent, own_percent=own_percent, cores=2))
        log.write(PhasesMeasured(kind="rss", as_planned=as_planned, phases={"load": PHASE}))
    log.close()
    return folder


def test_a_record_has_the_median_of_the_steady_steps_of_this_life() -> None:
    job = a_job()
    assert job.predicted is not None
    folder = a_run([1.0, 2.0, 3.0, 90.0, 110.0, 100.0, 500.0, 95.0])
    assert records.remember(folder, job) is None
    (kept,), damaged = records.read()
    assert (kept.tokens_per_second, kept.steps, damaged) == (100.0, 5, 0)
    assert (kept.run, kept.kind, kept.device, kept.method) == (folder.name, "cpu", "EPYC, 2 cores", "lora")
    assert kept.predicted == job.predicted.uncorrected and kept.versions == {"torch": "2.13.0"}
    assert kept.phases["load"].rest_bytes == 3 and kept.settings["rank"] == job.plan.rank
    assert records.file().stat().st_mode & 0o777 == 0o600


def test_a_run_that_is_not_comparable_leaves_no_record() -> None:
    job, rates = a_job(), [10.0] * 20
    assert records.remember(a_run([10.0] * 7), job) == "too few steps"
    assert records.remember(a_run(rates, as_planned=False), job) == "settings changed"
    assert records.remember(a_run(rates), replace(job, predicted=None)) == "none was predicted"
    several = replace(job, plan=replace(job.plan, processes=2))
    assert records.remember(a_run(rates), several) == "several devices"
    assert records.read() == ([], 0)


def test_a_run_that_goes_on_counts_once_with_its_newest_figures() -> None:
    folder, other = a_run([10.0] * 20), a_run([30.0] * 20)
    assert records.remember(folder, a_job()) is None
    assert records.remember(other, a_job()) is None
    log = EventLog(folder.events_file)
    log.write(RunStarted())
    for step in range(20):
        log.write(StepDone(step=step, tokens_per_second=20.0))
    log.write(PhasesMeasured(as_planned=True, phases={"load": PHASE}))
    log.close()
    assert records.remember(folder, a_job()) is None
    found, _ = records.read()
    assert [(x.run, x.tokens_per_second) for x in found] == [(other.name, 30.0), (folder.name, 20.0)]


@pytest.mark.parametrize("damage", [b"not json\n", b"[1, 2]\n", b'{"t": 1}\n', b"\xff\xfe\n", b'{"t": 1, "run": "ha'])
def test_damaged_lines_are_passed_over_and_counted(damage: bytes) -> None:
    records.file().write_bytes(damage)
    assert records.read() == ([], 1)
    assert records.remember(a_run([10.0] * 20), a_job()) is None
    found, damaged = records.read()
    assert (len(found), damaged) == (1, 1), "a torn last line does not take the next one with it"


def test_a_job_with_its_components_comes_back_from_its_file() -> None:
    job = a_job()
    assert RunFolder.create(job).job() == job


def test_a_run_slowed_by_its_neighbours_teaches_no_speed() -> None:
    slowed = [100.0] * 3 + [100.0, 30.0] * 10
    assert records.remember(a_run(slowed), a_job()) is None
    (kept,), _ = records.read()
    assert kept.tokens_per_second is None
    assert kept.phases["load"].peak_bytes == 5


def test_a_run_slowed_evenly_teaches_no_speed_either() -> None:
    for own, others, speed in ((48.0, 50.0, None), (90.0, 5.0, 30.0), (10.0, 50.0, 30.0)):
        folder = a_run([30.0] * 20, own_percent=own, others_percent=others)
        assert records.remember(folder, a_job()) is None
        assert records.read()[0][-1].tokens_per_second == speed
