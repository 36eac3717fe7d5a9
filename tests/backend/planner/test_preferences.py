"""Preference training as the planner sees it: settings, time, memory, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backend.answers import Answers
from backend.errors import UserError
from backend.plan.plan import Plan
from backend.planner import memory, throughput
from backend.planner.compare import compare
from backend.planner.estimates import Comparison
from tests.shapes import A100_80, LLAMA_8B, model, rows

DPO = Plan(method="lora", quantization="none", objective="dpo", packing=False)


def compared(*settings: str) -> Comparison:
    return compare(Answers(model="m", data="d", set=settings), A100_80, model(), rows(2000, 400), None)


def test_the_settings_of_preference_training() -> None:
    plan = compared("objective=dpo").methods["lora"].plan
    assert (plan.learning_rate, plan.epochs, plan.packing, plan.preference_beta) == (5e-6, 1.0, False, 0.1)
    assert compared("objective=dpo", "learning_rate=1e-5").methods["lora"].plan.learning_rate == 1e-5
    assert compared("objective=kto").methods["qlora"].plan.learning_rate == 5e-7


def test_full_fine_tuning_has_no_base_to_compare_with() -> None:
    found = compared("objective=dpo")
    assert found.recommended in ("lora", "qlora")
    assert any("dpo compares with the base model" in text for text in found.methods["full"].obstacles)
    with pytest.raises(UserError, match="take lora or qlora"):
        compared("objective=dpo", "method=full")


def test_preferences_train_on_several_devices() -> None:
    two = compare(
        Answers(model="m", data="d", set=("objective=dpo",)), replace(A100_80, count=2), model(), rows(2000, 400)
    )
    assert two.methods["lora"].plan.processes == 2
    assert compared("objective=dpo").methods["lora"].hours.point > 1.5 * two.methods["lora"].hours.point


def test_both_answers_are_computed_and_the_reference_takes_a_forward_pass() -> None:
    sft, data = replace(DPO, objective="sft"), rows(2000, 400)
    one, two = throughput.work(sft, data), throughput.work(DPO, data)
    assert two.step_tokens == 2 * one.step_tokens
    single = throughput.step_seconds(LLAMA_8B, sft, A100_80, one)
    pair = throughput.step_seconds(LLAMA_8B, DPO, A100_80, two)
    assert single is not None and pair is not None
    assert 2.5 * single.point < pair.point < 3.5 * single.point
    assert memory.predict(LLAMA_8B, DPO, A100_80, 512) == memory.predict(
        LLAMA_8B, replace(sft, micro_batch=2), A100_80, 512
    )


def test_the_speed_of_pairs_is_of_their_tokens_as_the_run_counts_them_and_the_time_of_what_both_are_padded_to() -> None:
    alike = rows(2000, 400)
    short = replace(alike, row_shorter_tokens=np.full(2000, 200))
    padded, load = throughput.work(DPO, alike), throughput.work(DPO, short)
    assert (padded.step_tokens, load.step_tokens) == (800 * DPO.effective_batch, 600 * DPO.effective_batch)
    assert load.held_out_tokens == 0.75 * padded.held_out_tokens
    seconds = [throughput.step_seconds(LLAMA_8B, DPO, A100_80, x) for x in (padded, load)]
    assert seconds[0] == pytest.approx(seconds[1])
    cut = throughput.work(replace(DPO, max_length=256), short)
    assert cut.step_tokens == 456 * DPO.effective_batch


def test_warm_up_is_of_the_steps_that_preferences_take() -> None:
    plan, origin = (found := compared("objective=dpo").methods["lora"]).plan, found.origin
    assert found.steps == 119 and plan.warmup_fraction == 0.1, "one epoch is a short run, three would not be"
    assert (origin["warmup_fraction"], origin["epochs"]) == ("under 200 steps", "dpo default")
    assert origin["packing"] == "dpo compares whole answers"
