"""Which settings a sweep tries and for how long; and a small sweep that really trains."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backend.answers import Answers
from backend.errors import UserError
from backend.planner import overhead
from backend.planner.compare import compare
from backend.planner.device import Device
from backend.run.folder import RunFolder
from backend.sweep import grid, halving, sweep
from backend.sweep.halving import Rung
from backend.sweep.sweep import Candidate
from tests.backend.run.test_folder import JOB
from tests.shapes import A100_80, CPU, LLAMA_1B, model, rows
from tui import cli


def test_the_grid_is_every_combination_once() -> None:
    found = grid.combinations(grid.parse(["method=lora,full", "rank=8, 16", "learning_rate=1e-4,2e-4"]))
    assert len(found) == 6, "full has no rank"
    assert found[0] == {"method": "lora", "rank": 8, "learning_rate": 1e-4}
    assert grid.words(found[-1]) == "method=full learning_rate=0.0002"


@pytest.mark.parametrize(
    ("texts", "sentence"),
    [
        (["rank"], "--grid takes key=value,value"),
        (["rank=8"], "rank needs two values or more"),
        (["rnk=8,16"], "did you mean 'rank'"),
        (["rank=8,many"], "a whole number"),
        (["rank=8,16", "rank=8,32"], "rank is given twice"),
        (["eval_fraction=0,0.1"], "would not be of the same rows"),
        (["max_steps=10,20"], "the sweep chooses it"),
        (["eval_every=10,20"], "the sweep chooses it, so that all settings train equally long; leave it out"),
        ([], "a sweep needs settings to try: --grid"),
        (["method=full,lora", "rank=" + ",".join(map(str, range(1, 99)))], "99 combinations; a sweep takes 2 to 64"),
    ],
)
def test_an_invalid_grid_is_refused(texts: list[str], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        grid.combinations(grid.parse(texts))


def test_half_of_the_settings_go_on_each_time() -> None:
    assert halving.rungs(6, 400) == [Rung(6, 50), Rung(3, 100), Rung(2, 200), Rung(1, 400)]
    assert halving.steps(6, 400) == 6 * 50 + 3 * 50 + 2 * 100 + 200 == 850
    assert halving.rungs(2, 5) == [Rung(2, 2), Rung(1, 4)]


def test_as_many_steps_as_the_time_allows() -> None:
    def taken(last: int) -> float:
        return halving.steps(6, last) + 10.0 * halving.starts(6, last)

    assert halving.starts(6, 400) == 12
    assert halving.affordable(6, 400, 850.0 + 12 * 10, taken) == 400
    assert halving.affordable(6, 400, 900.0, taken) < 400
    assert halving.affordable(6, 400, 5.0, taken) == 0
    assert halving.evaluations(6, 400) == 6 + 850 // 50


def planned(hours: float | None, **answers: Any) -> sweep.Sweep:
    own = Answers(model="m", data="d", **answers)
    settings = grid.combinations(grid.parse(["method=lora,qlora", "learning_rate=1e-4,2e-4"]))
    return sweep.plan(own, compare(own, A100_80, model(), rows(2000, 400), None), settings, hours)


def test_what_is_measured_beside_the_loss_takes_time_too() -> None:
    plain, measured = planned(1.0), planned(1.0, set=("measure_forgetting=true", "task=number"))
    assert measured.predicted_seconds > plain.predicted_seconds + 300
    short = planned(0.45, set=("measure_forgetting=true", "task=number"))
    assert short.predicted_seconds <= 1620 and short.rungs[-1].step < planned(0.45).rungs[-1].step


@pytest.mark.parametrize(("device", "devices"), [(replace(CPU, cores=2), 1), (replace(A100_80, count=2), 2)])
def test_each_setting_costs_its_own_devices_and_several_processes_share_one_cpu(device: Device, devices: int) -> None:
    own = Answers(model="m", data="d", price_usd_per_hour=3.6, budget_usd=36.0)
    settings = grid.combinations(grid.parse(["processes=1,2"]))
    made = sweep.plan(own, compare(own, device, model(LLAMA_1B), rows(200, 100), None), settings, None)
    assert [x.usd_per_second for x in made.candidates] == pytest.approx([0.001, 0.001 * devices])
    assert made.seconds == pytest.approx(36_000 / devices)
    made.candidates[1].seconds = 10.0
    assert made.candidates[1].cost_usd == pytest.approx(0.01 * devices)


def test_no_more_questions_take_time_than_rows_are_held_out() -> None:
    def seconds(task_rows: int) -> float:
        own = Answers(model="m", data="d", set=("task=number", f"task_rows={task_rows}"))
        found = compare(own, A100_80, model(), rows(100, 400), None)
        return sweep._seconds(Candidate({}, found, found.methods["lora"])).ends

    assert seconds(500) == seconds(5) < 500


def test_all_settings_have_the_schedule_of_the_longest_run() -> None:
    found = planned(2.0)
    assert found.predicted_seconds <= found.seconds == 7200
    plans = [candidate.estimate.plan for candidate in found.candidates]
    assert {plan.max_steps for plan in plans} == {found.rungs[-1].step}
    assert {plan.eval_every for plan in plans} == {found.rungs[0].step}
    assert [plan.learning_rate for plan in plans] == [1e-4, 2e-4, 1e-4, 2e-4]
    assert found.steps < found.whole_steps
    assert planned(9.0, budget_usd=1.0, price_usd_per_hour=2.0).seconds == 1800


@pytest.mark.parametrize(
    ("hours", "sentence"),
    [
        (None, "needs a limit: --hours H, or --budget USD"),
        (1e-4, "does not pay for a step of each"),
        (0.0, "hours: 0 won't do; it takes a number above 0"),
        (float("nan"), "hours: nan won't do"),
    ],
)
def test_a_sweep_without_room_is_refused(hours: float | None, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        planned(hours)


def test_without_held_out_rows_there_is_nothing_to_rank_by() -> None:
    with pytest.raises(UserError, match="no row is held out") as refused:
        planned(1.0, set=("eval_fraction=0",))
    assert refused.value.field == "eval_fraction"


def test_the_best_comes_first_and_the_front_is_what_none_beats() -> None:
    def one(step: int, loss: float | None, seconds: float, failure: str = "") -> Candidate:
        return Candidate({}, None, None, None, step, loss, seconds, failure)  # type: ignore[arg-type]

    early, slow, best, failed = one(10, 1.5, 5), one(20, 1.2, 30), one(20, 1.0, 20), one(20, None, 1, "no")
    assert sweep.ranked([early, failed, slow, best]) == [best, slow, early, failed]
    assert sweep.front([early, failed, slow, best]) == [early, best]


CHILD = """
import os, sys
from pathlib import Path
from backend.run.event_log import EventLog
from backend.run.events import RunFinished
from backend.run.folder import RunFolder
if sys.argv[2] == "4":
    EventLog(RunFolder(Path(sys.argv[1])).events_file).write(RunFinished(state="paused", step=4))
os._exit(134)
"""


def test_a_process_that_crashed_after_it_told_its_end_has_not_failed(
    fttui_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "CHILD", (sys.executable, "-c", CHILD))
    found = Candidate({}, None, None, RunFolder.create(JOB))  # type: ignore[arg-type]
    failures = []
    for step in (4, 8):
        sweep._train(found, step, 30.0)
        failures.append(found.failure)
    assert failures == ["", "its process died (exit code 134)"]


ENDS = """
import sys
from dataclasses import replace
from pathlib import Path
from backend.run.event_log import EventLog
from backend.run.events import Evaluated, RunFinished, StepDone
from backend.run.folder import RunFolder
folder, to = RunFolder(Path(sys.argv[1])), int(sys.argv[2])
ends = folder.job().plan.rank == 4
log = EventLog(folder.events_file)
at = 3 if ends and to > 2 else to
log.write(Evaluated(step=0, loss=4.0))
log.write(StepDone(step=at))
log.write(Evaluated(step=at, loss=1.5 if ends else 3.0 - at / 8))
kept = 1.25 if ends else None
log.write(RunFinished(state="done" if at < to else "paused", step=at, seconds=to, result_eval_loss=kept))
"""


def test_a_setting_that_a_limit_has_ended_is_compared_by_its_result_and_not_started_again(
    fttui_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "CHILD", (sys.executable, "-c", ENDS))
    jobs = [replace(JOB, plan=replace(JOB.plan, rank=rank)) for rank in (4, 8)]
    made = [Candidate({"rank": x.plan.rank}, None, None, RunFolder.create(x)) for x in jobs]  # type: ignore[arg-type]
    said: list[str] = []
    found = sweep.run(sweep.Sweep(made, halving.rungs(2, 8), 60.0, 1.0), said.append)
    assert [(x.settings["rank"], x.step, x.loss) for x in found] == [(4, 3, 1.25), (8, 4, 2.5)]
    assert found[0].seconds == 4, "it was not started for step 8"
    assert said[-2:] == ["1 setting to step 8", "  rank=4: held-out loss 1.2500, ended early at step 3"]


def test_a_small_sweep_for_real(
    tiny_model: Path, questions: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overhead, "start_seconds", lambda model, plan: 1.0)
    settings = ["--set", "max_length=128", "--set", "effective_batch=8", "--set", "precision=float32", "--epochs", "1"]
    words = ["sweep", "--model", str(tiny_model), "--data", str(questions), *settings, "--set", "method=lora"]
    code = cli.run([*words, "--grid", "learning_rate=1e-6,1e-2", "--hours", "0.5", "--json"])
    out, err = capsys.readouterr()
    assert code == 0, err
    best, other = json.loads(out)["settings"]
    assert best["settings"] == {"learning_rate": 1e-2} and best["on_front"]
    assert (best["step"], other["step"]) == (4, 2) and best["loss"] < other["loss"]
    won, lost = RunFolder.find(best["run"]), RunFolder.find(other["run"])
    assert (won.result / "adapter_model.safetensors").is_file() and not lost.result.exists()
    assert "2 settings, 6 steps instead of 8" in err
