"""The line that answers "is it fine?"."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from backend.run.event_log import EventLog
from backend.run.events import (
    CheckpointSaved,
    Evaluated,
    Event,
    FindingReported,
    MemoryReading,
    PhaseStarted,
    PredictedFigures,
    RunFinished,
    RunStarted,
    StepDone,
)
from backend.run.history import History, read
from tests.tui.panels.test_panels import run_until, shown
from tests.tui.story import GIB, START
from tui.panels.health import FINE, HealthLine, speed, to_evaluation, verdict

PREDICTED = PredictedFigures(tokens_per_second=1000.0, price_usd_per_hour=2.0, budget_usd=10.0)


def history(folder: Path, *told: tuple[float, Event], **started: Any) -> History:
    log = EventLog(folder / "events.jsonl")
    begin = RunStarted(total_steps=1000, predicted=PREDICTED, **started)
    for at, event in ((0.0, begin), (0.0, PhaseStarted(name="train")), *told):
        log.write(replace(event, t=START + at))
    log.close()
    return read(folder / "events.jsonl")


def step(number: int, rate: float = 1000.0, loss: float | None = 1.0, eta: float = 60.0) -> StepDone:
    return StepDone(step=number, total_steps=1000, loss=loss, tokens_per_second=rate, step_seconds=1.0, eta_seconds=eta)


GOOD = ((1.0, step(1)), (2.0, step(2)))
MEMORY = MemoryReading(kind="cuda", reserved_bytes=79 * GIB, device_bytes=80 * GIB)
ADVICE = FindingReported(severity="warns", about="run", text="The training loss has risen: the run diverges.")
EVALS = tuple((2.0 + i, Evaluated(step=i, loss=1.0 + i / 10)) for i in range(3))


@pytest.mark.parametrize(
    ("told", "after", "words"),
    [
        (GOOD, 3.0, "fine"),
        ((*GOOD, (3.0, step(3, loss=None))), 4.0, "loss not finite"),
        (GOOD, 95.0, "no step for 1 m 33 s"),
        ((*GOOD, *EVALS), 5.0, "held-out loss rises"),
        ((*GOOD, (2.0, ADVICE)), 3.0, "advice in the log"),
        ((*GOOD, (2.0, ADVICE), EVALS[2]), 5.0, "fine"),
        ((*GOOD, (2.0, replace(ADVICE, about="data"))), 3.0, "fine"),
        (((1.0, step(1, eta=20 * 3600.0)),), 2.0, "will cost $40 of $10"),
        ((*GOOD, (3.0, MEMORY)), 4.0, "memory nearly full"),
        (((1.0, step(1, rate=600.0)),), 2.0, "slow: 40% below predicted"),
    ],
)
def test_the_verdict_names_what_is_wrong(
    told: tuple[tuple[float, Event], ...], after: float, words: str, tmp_path: Path
) -> None:
    said = verdict(history(tmp_path, *told), START + after)
    assert words in said.text and (said is FINE) == (words == "fine")


async def test_it_says_what_comes_next_what_is_safe_and_what_it_costs() -> None:
    past, at = run_until(1204)
    narrow = (await shown(HealthLine(past, lambda: at), (80, 1)))[0]
    assert "✓ fine · eval in 236 steps · saved 6 m ago · $0.44 so far · speed +5%" in narrow
    wide = (await shown(HealthLine(past, lambda: at), (120, 1)))[0]
    assert "next evaluation in 236 steps · last checkpoint 6 m ago at step 1,080" in wide


def test_the_next_evaluation_is_the_plans_and_the_end_has_one(tmp_path: Path) -> None:
    past = history(tmp_path, (0.5, Evaluated(step=0, loss=2.0)), *GOOD, plan={"eval_every": 300})
    assert to_evaluation(past) == 298
    other = tmp_path / "other"
    other.mkdir()
    late = history(other, (0.5, Evaluated(step=0, loss=2.0)), (1.0, step(990)), plan={"eval_every": 300})
    assert to_evaluation(late) == 10
    assert to_evaluation(history(tmp_path)) is None  # a new attempt from the start has evaluated nothing yet


def test_costs_are_of_all_devices_and_all_attempts(tmp_path: Path) -> None:
    past = history(
        tmp_path,
        (3600.0, step(5)),
        (3600.0, RunFinished(state="stopped", seconds=3600.0)),
        (9000.0, RunStarted(plan={"processes": 2})),
        (9010.0, RunStarted(total_steps=1000, step=5, plan={"processes": 2}, predicted=PREDICTED)),
        (9010.0, CheckpointSaved(step=5)),
        plan={"processes": 2},
    )
    assert past.seconds_so_far(START + 10_800.0) == pytest.approx(5400.0)
    assert past.cost_so_far(START + 10_800.0) == pytest.approx(1.5 * 2 * 2.0)


def test_a_killed_attempt_counts_up_to_its_last_event(tmp_path: Path) -> None:
    past = history(tmp_path, (100.0, step(5)), (5000.0, RunStarted()), (5010.0, RunStarted(total_steps=1000, step=5)))
    assert past.seconds_so_far(START + 5100.0) == pytest.approx(200.0)


def test_speed_is_the_mean_of_the_last_steps(tmp_path: Path) -> None:
    told = tuple((float(i), step(i, rate=100.0 if i < 50 else 1200.0)) for i in range(1, 101))
    assert speed(history(tmp_path, *told)) == pytest.approx(1.2)


async def test_one_step_is_one_and_a_slow_run_is_called_so_once(tmp_path: Path) -> None:
    past = history(tmp_path, (0.5, Evaluated(step=0, loss=2.0)), (1.0, step(299, rate=600.0)), plan={"eval_every": 300})
    line = (await shown(HealthLine(past, lambda: START + 2.0), (80, 1)))[0]
    assert "slow: 40% below predicted" in line and "eval in 1 step " in line and "speed" not in line
