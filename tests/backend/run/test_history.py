"""History: what a screen reads, folded from events."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

from backend.run.event_log import EventLog
from backend.run.events import (
    AnyEvent,
    CheckpointSaved,
    Evaluated,
    Event,
    FindingReported,
    GpuReading,
    Logged,
    MemoryReading,
    PhasePeak,
    PhasesMeasured,
    PhaseStarted,
    RunFinished,
    RunStarted,
    Sampled,
    StepDone,
    TaskScored,
)
from backend.run.history import LOG_LINES, PRINTED, History, read
from backend.run.printed import LINES_AT_ONCE


def written(path: Path, *events: Event) -> History:
    log = EventLog(path)
    for event in events:
        log.write(event)
    log.close()
    return read(path)


def test_a_run_from_start_to_end(tmp_path: Path) -> None:
    history = written(
        tmp_path / "events.jsonl",
        RunStarted(total_steps=2, method="lora"),
        PhaseStarted(name="train"),
        Evaluated(step=0, loss=3.0),
        StepDone(step=1, total_steps=2, loss=2.5, eta_seconds=7),
        MemoryReading(peak_bytes=100),
        MemoryReading(peak_bytes=80),
        StepDone(step=2, total_steps=2, loss=None),
        Sampled(step=2, prompt="q", text="a"),
        CheckpointSaved(step=2, path="x"),
        Logged(text="hello", level="warning"),
        FindingReported(severity="warns", text="Look.", fix="do it"),
        RunFinished(state="done", loss=2.0),
    )
    assert (history.step, history.total_steps, history.state, history.phase) == (2, 2, "done", "done")
    assert (list(history.steps), list(history.losses)) == ([1], [2.5])
    assert history.peak_bytes == 100
    assert history.evaluations[0].loss == 3.0
    assert history.samples[0].text == "a"
    said = [line.text for line in history.log]
    assert said == ["held-out loss 3.0000 at step 0", "checkpoint at step 2", "hello", "data: Look. -> do it"]


def test_what_a_resumed_run_repeats_replaces_what_was(tmp_path: Path) -> None:
    steps = [StepDone(step=n, total_steps=9, loss=float(n)) for n in (1, 2, 3)]
    again = [StepDone(step=n, total_steps=9, loss=10.0 + n) for n in (3, 4)]
    history = written(
        tmp_path / "events.jsonl",
        RunStarted(total_steps=9),
        *steps,
        Evaluated(step=3, loss=1.0),
        RunFinished(state="stopped"),
        RunStarted(total_steps=9, step=2),
        *again,
    )
    assert list(history.steps) == [1, 2, 3, 4]
    assert list(history.losses) == [1.0, 2.0, 13.0, 14.0]
    assert history.evaluations == []
    assert history.state == "running"


def test_a_run_that_begins_again_at_step_0_has_one_score_before_training(tmp_path: Path) -> None:
    """It was killed before its first checkpoint; the first of two would be taken for the score before the other."""
    score = TaskScored(step=0, name="number", score=0.3, low=0.2, high=0.45, rows=50)
    past = written(tmp_path / "events.jsonl", RunStarted(step=0), score, StepDone(step=1), RunStarted(step=0), score)
    assert len(past.tasks) == 1


def test_polling_tells_whether_anything_came(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    history, log = History(path), EventLog(path)
    assert not history.poll()
    log.write(StepDone(step=1, eta_seconds=4))
    assert history.poll()
    assert history.eta_seconds == 4.0
    assert not history.poll()


def test_missing_fields_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    names = [kind.__struct_config__.tag for kind in get_args(AnyEvent)]
    path.write_text("".join(json.dumps({"event": name}) + "\n" for name in names))
    history = read(path)
    assert (history.state, history.phase, history.finished) == ("running", "done", RunFinished())
    said = [line.text for line in history.log]
    assert said == ["checkpoint at step 0", "out of memory", "re-planned", "", "task : - % of 0 right", "data: "]


def test_many_events_at_once_give_what_they_give_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    whole, one_by_one, log = History(path), History(path), EventLog(path)
    for step in range(1, 40):
        log.write(StepDone(step=step, total_steps=40, loss=float(step) if step % 7 else None, epoch=0.5))
        log.write(MemoryReading(peak_bytes=100 - step, allocated_bytes=step))
        log.write(GpuReading(utilisation_percent=step))
        log.write(Logged(text=f"line {step}"))
        if step % 10 == 0:
            log.write(Evaluated(step=step, loss=1.0))
        if step == 25:
            log.write(RunStarted(step=20, total_steps=50))
        one_by_one.poll()
    whole.poll()
    for name in ("steps", "losses", "last_step", "memory", "gpu", "peak_bytes", "evaluations", "log", "log_count"):
        assert getattr(whole, name) == getattr(one_by_one, name), name
    assert whole.total_steps == 40
    assert whole.peak_bytes == 99


def test_a_damaged_line_among_many_costs_itself_only(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    log = EventLog(path)
    for step in range(1, 6):
        log.write(StepDone(step=step, loss=1.0))
        log.write(MemoryReading(peak_bytes=step * 10))
        with path.open("ab") as file:
            file.write(b'{"t":1,"event":"step","step":%d,"loss":"not a number"}\n' % step)
            file.write(b'{"t":1,"event":"step","step":\n{"t":1,"event":"memory","peak_by\n')
    history = read(path)
    assert list(history.steps) == [1, 2, 3, 4, 5]
    assert history.peak_bytes == 50


def test_of_a_flood_of_log_lines_the_newest_are_kept_and_all_are_counted(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    for n in range(LOG_LINES + 500):
        log.write(Logged(text=f"line {n}"))
    history = read(tmp_path / "events.jsonl")
    assert history.log_count == LOG_LINES + 500
    assert [history.log[0].text, history.log[-1].text] == ["line 500", f"line {LOG_LINES + 499}"]


def test_an_event_written_in_another_order_of_fields_counts_too(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"event":"step","step":3,"loss":2.5,"t":1}\n')
    assert list(read(path).losses) == [2.5]


def test_what_libraries_printed_is_in_the_log(tmp_path: Path) -> None:
    events, printed = tmp_path / "events.jsonl", tmp_path / "trainer.log"
    history = History(events, printed)
    assert not history.poll()
    printed.write_bytes(b"\x1b[31mred\x1b[0m words\nloading:  10%\rloading:  90%\r")
    assert history.poll()
    assert [(line.level, line.text) for line in history.log] == [(PRINTED, "red words")]
    assert history.log[0].t > 0
    with printed.open("ab") as file:
        file.write(b"loading: 100%\n\nNCCL \xff INFO\n")
    history.poll()
    assert [line.text for line in history.log] == ["red words", "loading: 100%", "NCCL \ufffd INFO"]


def test_of_what_was_printed_before_the_end_is_read_without_a_time(tmp_path: Path) -> None:
    printed = tmp_path / "trainer.log"
    printed.write_bytes(b"".join(b"line %d\n" % n for n in range(100_000)))
    history = read(tmp_path / "events.jsonl", printed)
    assert len(history.log) == LINES_AT_ONCE
    assert (history.log[-1].text, history.log[-1].t) == ("line 99999", 0.0)


def test_figures_span_the_attempts_of_a_resumed_run(tmp_path: Path) -> None:
    """Otherwise three different peaks are shown after a resume."""
    past = written(
        tmp_path / "events.jsonl",
        RunStarted(),
        MemoryReading(peak_bytes=665),
        PhasesMeasured(kind="rss", phases={"train": PhasePeak(peak_bytes=665, seconds=2.0, times=1)}),
        RunFinished(state="stopped", peak_bytes=665),
        RunStarted(step=3),
        MemoryReading(peak_bytes=611),
        PhasesMeasured(kind="rss", phases={"train": PhasePeak(peak_bytes=611, seconds=3.0, times=2)}),
        RunFinished(state="done", peak_bytes=611),
    )
    assert past.finished is not None
    assert (past.peak_bytes, past.finished.peak_bytes, past.measured.phases["train"].peak_bytes) == (665, 665, 665)
    assert (past.measured.phases["train"].seconds, past.measured.phases["train"].times) == (5.0, 3)
