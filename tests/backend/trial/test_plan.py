"""How a trial is derived from the planned run: its first steps at its rates, few held-out rows, within its time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from backend import constants
from backend.answers import METHODS, Answers
from backend.data import split
from backend.planner import gpu_time, throughput
from backend.planner.compare import compare
from backend.planner.device import Device
from backend.training.schedule import learning_rate
from backend.trial import plan as trial_plan
from backend.trial.plan import Trial
from tests.shapes import CPU, H100, LLAMA_1B, LLAMA_8B, model, rows

HERE = replace(H100, here=True)


def a_trial(device: Device = HERE, data: Any = None, shape: Any = LLAMA_1B, **set: Any) -> Trial:
    answers = Answers(model="1b", data="rows.jsonl", output="/out", set=tuple(f"{k}={v}" for k, v in set.items()))
    return trial_plan.of(compare(answers, device, model(shape), data or rows(5000)), "lora")


@pytest.mark.parametrize("warmup", [0.0, 0.004, 0.0125, 0.03, 0.5])
def test_each_step_has_the_rate_of_the_whole_run_through_its_warm_up(warmup: float) -> None:
    trial = a_trial(warmup_fraction=warmup)
    assert (trial.steps, trial.job.plan.max_steps) == (20, 20) and trial.whole_steps > 500
    for step in range(min(20, trial.warmup_steps)):
        whole = learning_rate(trial.whole, step, trial.whole_steps)
        assert learning_rate(trial.job.plan, step, 20) == pytest.approx(whole)
    if trial.warmup_steps <= 20:
        assert learning_rate(trial.job.plan, 19, 20) == trial.whole.learning_rate


def test_it_is_evaluated_before_and_after_and_leaves_one_checkpoint() -> None:
    plan, job = a_trial().job.plan, a_trial().job
    assert (plan.eval_every, plan.save_every, plan.keep_checkpoints) == (20, 20, 1)
    assert job.output is None
    assert plan.effective_batch == a_trial().whole.effective_batch


def test_a_run_as_short_as_a_trial_is_tried_whole() -> None:
    trial = a_trial(max_steps=5, eval_fraction=0.01)
    assert (trial.steps, trial.whole_steps) == (5, 5)
    assert trial.job.plan == replace(
        trial.whole, eval_every=5, save_every=5, keep_checkpoints=1, keep="last", task_rows=16
    )


def test_a_slow_device_makes_fewer_steps_but_never_none() -> None:
    table = constants.trial()
    slow = a_trial(CPU, shape=LLAMA_8B)
    assert slow.steps == table.least_steps
    some = a_trial(replace(CPU, flops_per_second=2e12))
    assert table.least_steps < some.steps < table.steps


def test_a_device_of_unknown_speed_makes_all_its_steps() -> None:
    trial = a_trial(replace(HERE, flops_per_second=0.0))
    assert trial.steps == 20 and trial.seconds != trial.seconds


def test_all_methods_train_for_as_long_as_the_slowest_needs() -> None:
    answers = Answers(model="1b", data="rows.jsonl")
    comparison = compare(answers, HERE, model(LLAMA_1B), rows(5000))
    seconds = trial_plan.equal_seconds(comparison, METHODS)
    assert seconds is not None
    trials = [trial_plan.of(comparison, method, seconds) for method in METHODS]
    for trial in trials:
        rate = comparison.methods[trial.method].tokens_per_second.point
        tokens = throughput.work(trial.whole, comparison.data).step_tokens
        assert trial.steps * tokens / rate == pytest.approx(seconds, rel=0.1)
        assert trial.job.plan.max_steps == trial.job.plan.eval_every == 3 * trial.steps, (
            "it may be faster than predicted"
        )
        assert trial.train_seconds == seconds
    assert min(trial.steps for trial in trials) >= 20
    assert trial_plan.equal_seconds(comparison, ["lora"]) is None
    unknown = compare(answers, replace(HERE, flops_per_second=0.0), model(LLAMA_1B), rows(5000))
    assert trial_plan.equal_seconds(unknown, METHODS) is None


def test_held_out_rows_take_no_longer_than_the_steps() -> None:
    data = rows(5000)
    few = a_trial(data=data, max_steps=3, effective_batch=4)
    count = split.count(data.rows, few.job.plan.eval_fraction)
    assert count < split.count(data.rows, few.whole.eval_fraction)
    assert 2 * count * gpu_time.forward_share(few.whole) <= 3 * 4
    enough = a_trial(data=data)
    assert enough.job.plan.eval_fraction == enough.whole.eval_fraction


def test_the_formulas_say_what_the_trial_takes_and_the_screen_what_the_run_does() -> None:
    trial, whole = a_trial(), a_trial(max_steps=0)
    assert trial.job.predicted is not None and whole.job.predicted is not None
    assert trial.job.predicted.hours == whole.job.predicted.hours
    assert trial.job.predicted.hours is not None and trial.seconds < trial.job.predicted.hours * 3600
    written = trial.job.predicted.uncorrected
    assert written is not None and written.overhead_seconds < 60
