"""Plain lines of a run: readable, thinned out, harmless."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from backend.run.event_log import EventLog
from backend.run.events import (
    AnyEvent,
    Evaluated,
    FindingReported,
    Logged,
    MemoryReading,
    PhaseStarted,
    RunFinished,
    RunStarted,
    Sampled,
    StepDone,
)
from backend.run.history import read
from tui.event_lines import EventLines
from tui.panels.outcome import figures


def lines(*events: AnyEvent) -> list[str]:
    feed = EventLines()
    return [line[10:] for event in events for line in feed.feed(event)]


def step(number: int, t: float, total: int = 100) -> StepDone:
    return StepDone(t=t, step=number, total_steps=total, loss=1.5, tokens_per_second=1234.5)


def test_steps_are_thinned_to_one_a_second_and_the_last_is_printed() -> None:
    printed = lines(step(1, 10.0), step(2, 10.2), step(3, 11.1), step(100, 11.2))
    assert [line.split()[1] for line in printed] == ["1/100", "3/100", "100/100"]
    assert "loss 1.5000  1,23" in printed[0]


def test_saving_is_said_once_whatever_is_measured_in_between() -> None:
    phases = [PhaseStarted(name=name) for name in ("train", "save", "forgetting", "save")]
    once = ["training", "saving the result", "measuring forgetting"]
    assert lines(*phases) == once
    assert lines(*phases, RunFinished(state="paused"), *phases)[4:] == once, "another attempt says it again"


def test_a_step_without_a_loss_and_an_evaluation_without_one() -> None:
    assert lines(StepDone(step=1, total_steps=9), Evaluated(step=1)) == ["step 1/9  loss n/a  0 tokens/s"]


def test_of_preferences_how_many_are_right_is_said_once_the_model_has_moved() -> None:
    before, later = (Evaluated(step=x, loss=0.6931, reward_accuracy=0.75, reward_margin=0.1) for x in (0, 4))
    assert lines(before, later) == [
        "held-out loss 0.6931 at step 0",
        "held-out loss 0.6931 at step 4, 75 % of the preferences right",
    ]


def test_the_start_says_what_runs_once_it_is_loaded() -> None:
    loaded = RunStarted(method="lora", device="cpu", total_steps=20, train_rows=4_000, step=5)
    assert lines(RunStarted(method="lora"), loaded) == [
        "lora on cpu: 4,000 rows, 20 steps, 0 trained parameters",
        "goes on after step 5",
    ]


def test_the_end_says_what_came_of_it() -> None:
    done = RunFinished(state="done", seconds=65, eval_loss_before=2.0, eval_loss=1.5)
    assert lines(done)[0] == "done after 1 m 05 s, held-out loss 2.0000 -> 1.5000"
    assert lines(RunFinished(state="failed", error="it broke")) == ["failed: it broke"]
    assert lines(RunFinished(state="failed")) == ["failed: see the log"]


def test_findings_of_the_data_have_their_fix() -> None:
    found = FindingReported(severity="warns", text="Two columns are unused.", fix="--mapping a=b")
    assert lines(found) == ["data warns: Two columns are unused. -> --mapping a=b"]
    assert lines(FindingReported(severity="notes", text="So.")) == ["data notes: So."]


def test_outside_text_is_made_harmless() -> None:
    said = lines(Sampled(prompt="\x1b[31mred", text="a\nb\x9b2J"))
    assert not any(ord(char) < 32 or 0x7F <= ord(char) < 0xA0 for line in said for char in line)


def test_every_event_survives_missing_fields() -> None:
    for kind in get_args(AnyEvent):
        lines(kind())


def test_a_question_is_printed_once_and_training_is_announced_once() -> None:
    sample, phase = Sampled(prompt="why?", text="because"), PhaseStarted(name="train")
    assert lines(phase, sample, phase, sample) == ["training", "asked why?", "it says because", "it says because"]


def test_log_lines_say_their_level_if_it_matters() -> None:
    assert lines(Logged(text="a"), Logged(level="warning", text="b")) == ["a", "warning: b"]


def test_one_peak_after_a_resume(tmp_path: Path) -> None:
    """The last line, the list of runs and the panels show the highest peak of all attempts."""
    first: list[AnyEvent] = [
        RunStarted(total_steps=9),
        MemoryReading(peak_bytes=8 << 30),
        RunFinished(state="stopped", peak_bytes=8 << 30),
    ]
    second: list[AnyEvent] = [RunStarted(total_steps=9, step=4), MemoryReading(peak_bytes=5 << 30)]
    end = RunFinished(state="done", peak_bytes=5 << 30)
    log = EventLog(tmp_path / "events.jsonl")
    for written in (*first, *second, end):
        log.write(written)
    log.close()
    lines = EventLines()
    for event in first:
        lines.pass_over(event)
    said = [line for event in (*second, end) for line in lines.feed(event)]
    assert any("peak memory 8.0 GiB" in line for line in said)
    history = read(tmp_path / "events.jsonl")
    peak = next(figure for figure in figures(history) if figure.name == "peak")
    assert history.peak_bytes == peak.measured == 8 << 30
