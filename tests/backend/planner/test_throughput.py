"""Time: the interval of a step, and the hours of a run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backend.answers import Answers, Method
from backend.measured.correction import Calibration, Run
from backend.model import find
from backend.plan.plan import Plan
from backend.planner import throughput
from backend.planner.compare import compare
from backend.planner.device import Device
from tests.shapes import A100_80, CPU, H100, LLAMA_1B, LLAMA_8B, RTX_4090, model, rows

LORA = Plan(method="lora", quantization="none", checkpointing=True, micro_batch=4)


def point(plan: Plan, device: Device = A100_80) -> float:
    step = throughput.step_seconds(LLAMA_8B, plan, device, throughput.work(plan, rows(5000, 1024)))
    assert step is not None and step.low < step.point < step.high
    return step.point


def test_an_unknown_rate_predicts_no_time_and_no_cost() -> None:
    unknown = replace(A100_80, flops_per_second=0.0)
    comparison = compare(Answers(), unknown, model(LLAMA_8B), rows(5000))
    for seen in comparison.methods.values():
        assert seen.hours.point != seen.hours.point  # not a number
        assert seen.cost_usd is None
    assert any("speed" in note for note in comparison.notes)
    plan = replace(LORA, micro_batch=1)
    no_bandwidth = replace(A100_80, bytes_per_second=0.0)
    assert throughput.step_seconds(LLAMA_8B, plan, no_bandwidth, throughput.work(plan, rows(5000))) is None


def test_time_and_cost_move_with_epochs_and_price() -> None:
    base = compare(Answers(epochs=1, price_usd_per_hour=1.0), A100_80, model(LLAMA_8B), rows(5000)).methods["lora"]
    more = compare(Answers(epochs=3, price_usd_per_hour=2.0), A100_80, model(LLAMA_8B), rows(5000)).methods["lora"]
    assert base.hours.low < base.hours.point < base.hours.high
    assert 2 < more.hours.point / base.hours.point < 3.1
    assert base.cost_usd is not None and more.cost_usd is not None
    assert more.cost_usd.point == pytest.approx(more.hours.point * 2.0)


def after(*speeds: float, method: Method = "lora") -> Device:
    """An A100 on which runs of `method` were so many times as fast as predicted."""
    runs = tuple(Run(method, LLAMA_8B.parameters, speed=speed) for speed in speeds)
    return replace(A100_80, calibration=Calibration(runs))


def test_measured_speeds_replace_the_guess_and_narrow_the_interval() -> None:
    load = throughput.work(LORA, rows(5000, 1024))
    guess, once, often, other = (
        throughput.step_seconds(LLAMA_8B, LORA, device, load)
        for device in (A100_80, after(0.5), after(*[0.5] * 20), after(0.5, method="qlora"))
    )
    assert guess is not None and once is not None and often is not None
    assert guess.point < once.point < often.point == pytest.approx(2 * guess.point, rel=0.03)
    assert often.high / often.low < once.high / once.low < guess.high / guess.low
    assert other == guess, "one method's speed says nothing of another's"
    hours = throughput.run_hours(model(), LORA, after(*[0.5] * 20), rows(5000, 1024), load)
    before = throughput.run_hours(model(), LORA, A100_80, rows(5000, 1024), load)
    assert hours is not None and before is not None
    assert 1.8 < hours.point / before.point < 2


def test_runs_that_disagree_leave_a_wider_interval() -> None:
    load = throughput.work(LORA, rows(5000, 1024))
    agreeing = throughput.step_seconds(LLAMA_8B, LORA, after(1.0, 1.0, 1.0), load)
    differing = throughput.step_seconds(LLAMA_8B, LORA, after(0.6, 1.0, 1.7), load)
    assert agreeing is not None and differing is not None
    assert differing.high / differing.low > agreeing.high / agreeing.low


def test_recomputing_masks_and_a_float32_type_take_longer() -> None:
    base = point(LORA)
    assert base > point(replace(LORA, checkpointing=False))
    assert base > point(replace(LORA, attention="flash_attention_2"))
    assert base < point(replace(LORA, activation_offload=True))
    assert base < point(replace(LORA, precision="float32"))
    assert point(LORA, RTX_4090) > base > point(LORA, H100)


def test_several_devices_share_a_step_but_not_evenly() -> None:
    four = replace(LORA, processes=4, micro_batch=1)
    one = replace(LORA, micro_batch=1)
    assert 0.25 < point(four, replace(A100_80, count=4)) / point(one) < 0.5


def test_rows_that_are_not_packed_pay_for_padding() -> None:
    plan = replace(LORA, packing=False, effective_batch=16)
    lengths = np.arange(1, 1001)
    data = replace(
        rows(1000, 500), row_tokens=lengths, row_scored_tokens=lengths // 2, row_prompt_tokens=lengths - lengths // 2
    )
    load = throughput.work(plan, data)
    # 16 rows of 59, 118, ... 941 tokens, 8,002 in all, are filled up to multiples of 128: 9,088.
    assert throughput.padding(replace(plan, micro_batch=1), load) == pytest.approx(9088 / 8002, rel=0.02)
    # The longest of 16 is about 16/17 of 1,000 tokens, filled up to 1,024; the mean is 500.5.
    assert throughput.padding(replace(plan, micro_batch=16), load) == pytest.approx(1024 / 500.5, rel=0.01)
    assert 1.0 < throughput.padding(replace(plan, micro_batch=4), load) < 1.4  # sorted by length first


def test_packed_sequences_are_filled_up_to_a_multiple() -> None:
    plan = replace(LORA, packing=True, effective_batch=16, max_length=2048)
    # 16 rows of 500 tokens: four sequences of 2,000, each filled up to 2,048.
    assert throughput.padding(plan, throughput.work(plan, rows(100, 500))) == pytest.approx(2048 / 2000)
    # One row of 500 tokens in a step: 512, and half of its positions are targets, filled up from 256.
    single = throughput.work(replace(plan, effective_batch=1), rows(100, 500))
    assert (single.length, single.scored) == (512, 256)
    # Never beyond max_length.
    short = replace(plan, effective_batch=1, max_length=510)
    assert throughput.work(short, rows(100, 509)).length == 510


def test_a_token_attends_within_its_row_unless_a_mask_is_needed() -> None:
    lengths = np.array([100, 300] * 8)
    data = replace(rows(16), row_tokens=lengths, row_scored_tokens=lengths, row_prompt_tokens=lengths * 0)
    flash = replace(LORA, attention="flash_attention_2", max_length=1000, eval_fraction=0.0)
    load = throughput.work(flash, data)
    assert load.attended == (100**2 + 300**2) / 400
    assert throughput.one_pass(flash, load).attended == load.attended
    assert throughput.one_pass(replace(flash, attention="varlen"), load).attended == load.attended
    assert (
        throughput.one_pass(replace(flash, attention="sdpa"), load).attended == 2 * 800
    )  # four sequences of four rows


@pytest.mark.parametrize(("method", "run", "steps"), [("lora", 305, 383), ("qlora", None, 373), ("full", None, 269)])
def test_the_demo_on_two_quiet_cores(method: Method, run: float | None, steps: float) -> None:
    """Tokens a second of a whole run, and of steps of four rows (tests/bench/limit.py), both measured there."""
    plan = Plan(method=method, quantization="nf4" if method == "qlora" else "none", max_length=1024, effective_batch=4)
    load = throughput.Work(668, length=768, scored=320, held_out_tokens=0.0, attended=168.0)
    shape = find.find("SmolLM2-135M").shape
    seconds = throughput.step_seconds(shape, plan, replace(CPU, flops_per_second=205e9), load)
    assert seconds is not None
    assert 668 / seconds.high < 0.8 * steps < steps < 668 / seconds.low
    assert run is None or 668 / seconds.point == pytest.approx(run, rel=0.05)


def test_a_cpu_goes_by_its_measured_rate() -> None:
    plan = Plan(method="lora", quantization="none")
    load = throughput.work(plan, rows(500))
    slow = throughput.step_seconds(LLAMA_1B, plan, CPU, load)
    fast = throughput.step_seconds(LLAMA_1B, plan, replace(CPU, flops_per_second=2 * CPU.flops_per_second), load)
    chunked = throughput.step_seconds(LLAMA_1B, replace(plan, chunked_loss=True), CPU, load)
    assert slow is not None and fast is not None and chunked is not None
    assert slow.point == pytest.approx(2 * fast.point)
    assert chunked.point > slow.point


@pytest.mark.parametrize("packing", [True, False])
def test_a_step_has_no_more_rows_than_there_are(packing: bool) -> None:
    few = rows(10, 100)
    plan = replace(LORA, packing=packing, micro_batch=1, eval_fraction=0.0)
    load, enough = (throughput.work(replace(plan, effective_batch=x), few) for x in (64, 10))
    assert load.step_tokens == enough.step_tokens == 1000
    assert (load.length, load.row_lengths) == (enough.length, enough.row_lengths)
    assert throughput.sequences_per_step(replace(plan, effective_batch=64), load) == (1 if packing else 10)
