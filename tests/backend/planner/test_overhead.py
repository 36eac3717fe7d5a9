"""Everything in a run that is not a step: how often it happens, and how long it takes."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest

from backend import constants
from backend.plan.plan import Plan
from backend.planner import overhead, throughput
from tests.shapes import A100_80, CPU, LLAMA_1B, LLAMA_8B, LLAMA_70B, model, rows

LORA = Plan(method="lora", quantization="none")
FULL = Plan(method="full", quantization="none")

KEEPS: tuple[Literal["best", "last"], ...] = ("best", "last")


def test_evaluations_and_checkpoints_as_the_trainer_makes_them() -> None:
    assert overhead.evaluations(LORA, 100) == 11  # one before the first step
    assert overhead.checkpoints(LORA, 100) == 5
    often = replace(LORA, eval_every=7, save_every=30)
    assert overhead.evaluations(often, 100) == 1 + 14 + 1
    assert overhead.checkpoints(often, 100) == 3 + 1


def test_what_is_not_here_is_downloaded_and_what_is_packed_takes_its_time() -> None:
    here, away = model(), model(download_bytes=16_060_000_000)
    assert overhead.start_seconds(away, LORA) - overhead.start_seconds(here, LORA) == 16_060_000_000 / 50_000_000
    assert overhead.start_seconds(here, Plan(method="qlora")) > overhead.start_seconds(here, LORA)


def test_saving_a_whole_model_with_its_states_takes_minutes_an_adapter_seconds() -> None:
    assert overhead.checkpoint_seconds(LLAMA_8B, LORA, 100) < 30
    assert overhead.checkpoint_seconds(LLAMA_8B, FULL, 100) > 300
    last = replace(FULL, keep="last")
    rare = overhead.checkpoint_seconds(LLAMA_8B, replace(last, save_every=100), 100)
    assert rare < 0.4 * overhead.checkpoint_seconds(LLAMA_8B, last, 100)


def test_weights_are_kept_alone_when_an_evaluation_may_be_the_best_and_no_checkpoint_is_due() -> None:
    assert overhead.weights_alone(LORA, 100) == 5, "ten evaluations, five checkpoints"
    assert overhead.weights_alone(replace(LORA, eval_every=10, save_every=100), 100) == 9
    assert overhead.weights_alone(replace(LORA, keep="last"), 100) == 0
    with_best, without = (overhead.checkpoint_seconds(LLAMA_8B, replace(FULL, keep=keep), 100) for keep in KEEPS)
    assert 0 < with_best - without < 0.2 * without, "without the optimizer's states, in 16 bits"


def test_the_tokens_that_forgetting_takes() -> None:
    shipped = sum(part.tokens for part in constants.general().part)
    assert overhead.general_tokens(LORA, 100) == 0
    measured = replace(LORA, measure_forgetting=True, eval_every=50)
    assert overhead.general_tokens(measured, 100) == pytest.approx(2 * shipped * (1 + 3 * 0.25))
    full = replace(measured, method="full")
    assert overhead.general_tokens(full, 100) == pytest.approx(shipped * (2 + 3 * 0.25))


def test_a_sample_takes_longer_with_a_larger_model_but_never_over_its_limit() -> None:
    small, large = (overhead.sample_seconds(shape, LORA, A100_80) for shape in (LLAMA_1B, LLAMA_8B))
    assert small < large < 5
    assert overhead.sample_seconds(LLAMA_70B, LORA, A100_80) == 5
    assert overhead.sample_seconds(LLAMA_8B, LORA, CPU) == 5


def test_evaluating_more_often_and_on_more_rows_makes_the_run_longer() -> None:
    def hours(plan: Plan) -> float:
        data = rows(5000)
        seen = throughput.run_hours(model(), plan, A100_80, data, throughput.work(plan, data))
        assert seen is not None
        return seen.point

    assert hours(replace(LORA, eval_every=10)) > 1.1 * hours(LORA)
    assert hours(replace(LORA, save_every=5)) > hours(LORA)
    assert hours(replace(LORA, eval_fraction=0.0)) != hours(LORA)


@pytest.mark.parametrize(("eval_every", "save_every"), [(2, 3), (3, 2), (1, 1), (4, 6), (5, 100)])
def test_how_often_weights_are_kept_alone(eval_every: int, save_every: int) -> None:
    plan = Plan(eval_every=eval_every, save_every=save_every)
    due = [at for at in range(1, 24) if at % eval_every == 0 and at % save_every]
    assert overhead.weights_alone(plan, 24) == len(due)
    assert overhead.weights_alone(replace(plan, eval_every=1), 10**12) >= 0, "counted, not gone through"
