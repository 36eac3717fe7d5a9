"""A trial's process, however it ends: it leaves no files, and one sentence says why it ended."""

from __future__ import annotations

import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from backend import constants, paths
from backend.answers import Answers
from backend.constants.trial_toml import Patience
from backend.errors import UserError
from backend.planner.compare import compare
from backend.planner.estimates import Comparison
from backend.run.events import PhasePeak
from backend.run.folder import RunFolder
from backend.trial import plan as trial_plan
from backend.trial import trial
from backend.trial.found import TrialResult, _whole_hours
from backend.trial.plan import Trial
from tests.shapes import CPU, LLAMA_1B, model, rows

PHASES = "phases=dict.fromkeys(('load', 'eval', 'checkpoint', 'save'), PHASE)"
TRAINER = """
import sys, os, time
from pathlib import Path
from backend.run.event_log import EventLog
from backend.run.events import *
PHASE = PhasePeak(peak_bytes=5, reserved_bytes=5, rest_bytes=3, seconds=2.0, times=2)
log = EventLog(Path(sys.argv[1]) / "events.jsonl")
log.write(RunStarted(step=0, eval_rows=7))
def steps(count, phase="train"):
    log.write(PhaseStarted(name=phase))
    for step in range(1, count + 1):
        log.write(StepDone(step=step, total_steps=3, tokens_per_second=100.0 * step, step_seconds=1.0 / step))
"""


def stand_in(monkeypatch: pytest.MonkeyPatch, does: str) -> None:
    """A process that writes what a trainer writes, without torch."""
    monkeypatch.setattr(trial, "CHILD", (sys.executable, "-c", TRAINER + textwrap.dedent(does)))
    monkeypatch.setattr(trial, "POLL_SECONDS", 0.01)


def a_comparison(price: float | None = None) -> Comparison:
    answers = Answers(model="1b", data="rows.jsonl", price_usd_per_hour=price)
    return compare(answers, CPU, model(LLAMA_1B), rows(300))


def tried(comparison: Comparison | None = None, **changes: Any) -> TrialResult:
    """LoRA's trial; afterwards nothing is there."""
    comparison = comparison or a_comparison()
    one = replace(trial_plan.of(comparison, "lora"), steps=3, **changes)
    (found,) = trial.run(comparison, [one], lambda now: None).values()
    assert [path.name for path in (paths.home() / "trials").iterdir()] == ["lock"]
    assert list(paths.runs().iterdir()) == []
    return found


def test_what_it_measured_is_drawn_out_to_the_whole_run(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(
        monkeypatch,
        f"""
        log.write(Evaluated(step=0, loss=2.0))
        steps(3)
        log.write(Evaluated(step=3, loss=1.5))
        log.write(MemoryReading(peak_bytes=77))
        log.write(PhasesMeasured(as_planned=True, {PHASES}))
        log.write(Calibrated(kept=True))
        log.write(RunFinished(state="done"))
        """,
    )
    comparison = a_comparison(price=2.0)
    found = tried(comparison)
    assert (found.steps, found.planned_steps, found.failure, found.not_kept, found.changed) == (3, 3, "", "", "")
    assert (found.loss_before, found.loss_after, found.held_out_rows) == (2.0, 1.5, 7)
    measured = found.measured
    assert (measured.tokens_per_second, measured.peak_bytes) == (300.0, 77), "the first steps are left out"
    seen = comparison.methods["lora"]
    assert measured.hours is not None and measured.hours > seen.steps * 400 * seen.plan.effective_batch / 300 / 3600
    assert measured.cost_usd == pytest.approx(2.0 * measured.hours)
    assert found.predicted.hours == seen.hours.point
    assert found.predicted.tokens_per_second == seen.tokens_per_second.point


def test_saving_in_two_parts_counts_whole() -> None:
    """Measurements before the result is written split the phase in two."""
    comparison = a_comparison()
    one = trial_plan.of(comparison, "lora")

    def hours(times: int) -> float:
        phases = {name: PhasePeak(seconds=2.0, times=1) for name in ("load", "eval", "checkpoint")}
        phases["save"] = PhasePeak(seconds=3600.0, times=times)
        past: Any = SimpleNamespace(measured=SimpleNamespace(phases=phases), step=3)
        return _whole_hours(comparison, one, past, 300.0) or 0.0

    assert hours(times=1) == hours(times=2) > 1.0


def test_the_task_is_drawn_out_to_as_many_questions_as_rows_are_held_out() -> None:
    """50 are asked for, and 5 are held out; the trial answered the same 5."""
    answers = Answers(model="1b", data="rows.jsonl", set=("task=number",))
    comparison = compare(answers, CPU, model(LLAMA_1B), rows(100))
    one = trial_plan.of(comparison, "lora")
    took = {"load": 1.0, "checkpoint": 1.0, "save": 1.0}
    hours = []
    for task in ({}, {"task": 40.0}):
        phases = {name: PhasePeak(seconds=seconds, times=1) for name, seconds in (took | task).items()}
        past: Any = SimpleNamespace(measured=SimpleNamespace(phases=phases), step=3)
        hours.append(_whole_hours(comparison, one, past, 100.0) or 0.0)
    assert 3600 * (hours[1] - hours[0]) == pytest.approx(40.0)


def test_settings_that_memory_changed_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(
        monkeypatch,
        """
        log.write(Replanned(step=0, text="micro-batch 4 -> 2"))
        steps(3)
        log.write(PhasesMeasured(as_planned=False, phases={}))
        log.write(Calibrated(kept=False, reason="settings changed"))
        log.write(RunFinished(state="done"))
        """,
    )
    found = tried()
    assert (found.changed, found.not_kept, found.failure) == ("micro-batch 4 -> 2", "settings changed", "")


@pytest.mark.parametrize(
    ("does", "sentence"),
    [
        ('log.write(RunFinished(state="failed", error="memory ran out"))', "memory ran out"),
        ("os.kill(os.getpid(), 9)", "its process was killed, most likely since the memory of this box ran out"),
        ("os._exit(7)", "its process died (exit code 7) without a word"),
    ],
)
def test_a_failure_is_one_sentence(monkeypatch: pytest.MonkeyPatch, does: str, sentence: str) -> None:
    stand_in(monkeypatch, does)
    found = tried()
    assert (found.failure, found.steps, found.measured.hours, found.not_kept) == (sentence, 0, None, sentence)


def patience(monkeypatch: pytest.MonkeyPatch, stop: float = 0.0, kill: float = 1.0, least: float = 0.0) -> None:
    changed = msgspec.structs.replace(constants.trial(), patience=Patience(stop, kill, least))
    monkeypatch.setattr(constants, "trial", lambda: changed)


def test_it_ends_when_its_steps_have_taken_as_long_as_those_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(
        monkeypatch,
        """
        inbox = Path(sys.argv[1]) / "commands.jsonl"
        log.write(PhaseStarted(name="train"))
        step = 0
        while not inbox.exists():
            step += 1
            log.write(StepDone(step=step, step_seconds=2.0, tokens_per_second=100.0))
            time.sleep(0.1)
        assert '"finish"' in inbox.read_text()
        log.write(StepDone(step=step + 1, step_seconds=2.0, tokens_per_second=100.0))
        log.write(TaskScored(step=0, name="number", score=0.1, low=0.0, high=0.4, rows=10))
        log.write(TaskScored(step=step + 1, name="number", score=0.3, low=0.1, high=0.6, rows=10))
        figures = {"loss": 1.1, "base_loss": 1.0, "kl": 0.1, "low": 0.09, "high": 0.11}
        log.write(ForgettingMeasured(step=step + 1, part="code", **figures, final=True))
        log.write(RunFinished(state="done"))
        """,
    )
    found = tried(train_seconds=20.0)
    assert found.failure == "" and found.equal_seconds == 20.0
    assert found.train_seconds is not None and 19 <= found.train_seconds <= 26
    assert (found.task_short, found.forgetting_short) == ("30 % (10 to 60)", "+10.0 % moderate")


def test_one_far_slower_than_predicted_is_stopped_at_its_next_step(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(
        monkeypatch,
        """
        from backend.run.control import Inbox
        inbox = Path(sys.argv[1]) / "commands.jsonl"
        steps(2)
        while not inbox.exists():
            time.sleep(0.01)
        log.write(RunFinished(state="stopped"))
        """,
    )
    patience(monkeypatch, least=0.1, kill=1e6)
    found = tried()
    assert found.failure == "it was stopped after 2 of 3 steps: they took far longer than predicted"
    assert found.measured.tokens_per_second == 200.0


def test_one_that_does_not_stop_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, "steps(1)\ntime.sleep(600)")
    patience(monkeypatch)
    assert tried().failure == "it was ended after 1 of 3 steps: it took far longer than predicted"


def test_the_time_of_a_download_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(
        monkeypatch,
        'log.write(PhaseStarted(name="data")); time.sleep(0.3); log.write(RunFinished(state="done")); steps(3)',
    )
    patience(monkeypatch)
    assert tried().steps == 3


def test_an_interruption_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, "steps(1)\ntime.sleep(600)")
    comparison = a_comparison()

    def interrupted(now: trial.TrialProgress) -> None:
        if now.step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trial.run(comparison, [trial_plan.of(comparison, "lora")], interrupted)
    assert [path.name for path in (paths.home() / "trials").iterdir()] == ["lock"]


def test_what_a_killed_one_left_goes_with_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    left = paths.home() / "trials" / "trial-20261124-101500-lora-x"
    left.mkdir(parents=True)
    (left / "plan.toml").touch()
    stand_in(monkeypatch, 'log.write(RunFinished(state="done"))')
    tried()


def a_trial() -> tuple[Comparison, Trial]:
    comparison = a_comparison()
    return comparison, trial_plan.of(comparison, "lora")


def test_two_trials_at_once_are_refused() -> None:
    comparison, one = a_trial()
    with trial._alone(), pytest.raises(UserError, match="another trial is running"):
        trial.run(comparison, [one], lambda now: None)


def test_none_is_made_beside_a_run_on_the_same_device() -> None:
    _, one = a_trial()
    run = RunFolder.create(one.job)
    trial.refuse_beside_a_run(one.job)
    with run.hold():
        with pytest.raises(UserError, match=f"run {run.name} is training on this device"):
            trial.refuse_beside_a_run(one.job)
        trial.refuse_beside_a_run(replace(one.job, device_uuids=("GPU-another",)))


def test_the_process_ends_with_the_holder_of_its_pipe_and_deletes_its_folder(tmp_path: Path) -> None:
    _, one = a_trial()
    folder = trial._folder(tmp_path, one.job)
    process = trial._started(folder)
    assert process.stdin is not None and process.poll() is None
    process.stdin.close()  # as the kernel does when the holder dies
    assert process.wait(60) == 1
    assert not folder.path.exists()
