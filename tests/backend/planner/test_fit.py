"""Execution settings: the fastest that fit are chosen, and nothing that the user set is changed."""

from __future__ import annotations

from backend.answers import METHODS, Answers
from backend.plan.plan import Plan
from backend.planner import devices, fit, memory, throughput
from backend.planner.compare import compare
from tests.shapes import A100_80, CPU, H200, LLAMA_1B, LLAMA_8B, RTX_4090, T4, model, rows


def test_a_small_card_recomputes_and_a_large_one_does_not() -> None:
    long_rows = rows(5000, 2000)
    small = compare(Answers(), RTX_4090, model(LLAMA_8B), long_rows).methods["lora"]
    large = compare(Answers(), H200, model(LLAMA_8B), long_rows).methods["lora"]
    assert small.plan.checkpointing
    assert not large.plan.checkpointing
    assert small.fit == "fits"


def test_a_fixed_setting_is_planned_around() -> None:
    answers = Answers(set=("micro_batch=1", "checkpointing=true", "chunked_loss=false"))
    seen = compare(answers, A100_80, model(LLAMA_8B), rows(5000)).methods["lora"]
    assert (seen.plan.micro_batch, seen.plan.checkpointing, seen.plan.chunked_loss) == (1, True, False)
    assert seen.origin["micro_batch"] == "you"


def test_eight_bit_states_stepped_in_the_backward_pass_bring_full_8b_onto_one_80_gb_card() -> None:
    seen = compare(Answers(), A100_80, model(LLAMA_8B), rows(5000)).methods["full"]
    assert seen.fit == "fits"
    assert seen.plan.optimizer == "adamw_8bit"
    assert seen.plan.optimizer_in_backward
    assert seen.plan.max_grad_norm == 0  # clipping needs all gradients at once


def test_the_least_is_never_more_than_the_peak() -> None:
    for device in (RTX_4090, A100_80, CPU):
        for seen in compare(Answers(), device, model(LLAMA_1B), rows(1000)).methods.values():
            assert seen.least_bytes <= seen.memory.peak_bytes


def test_micro_batches_hold_no_more_than_a_step_has() -> None:
    seen = compare(Answers(effective_batch=4), A100_80, model(LLAMA_1B), rows(1000, 100)).methods["lora"]
    assert seen.plan.micro_batch == 1  # 400 tokens are one sequence of 512


def test_memory_depends_on_a_devices_kind_and_generation_only() -> None:
    """Predictions are cached by these two."""
    for name in devices.choices():
        device = devices.named(name)
        for method in METHODS:
            plan = Plan(method=method, checkpointing=True)
            load = throughput.work(plan, rows(100))
            whole = memory.predict(LLAMA_1B, plan, device, load.length, load.scored, 7)
            assert fit.predict(model(LLAMA_1B, weight_bytes=7), plan, device, load) == whole


def test_float16_never_steps_in_the_backward_pass() -> None:
    for shape in (LLAMA_1B, LLAMA_8B):
        plan = compare(Answers(), T4, model(shape), rows(1000)).methods["full"].plan
        assert plan.precision == "float16"
        assert not plan.optimizer_in_backward


def test_activations_of_a_cpu_stay_where_they_are() -> None:
    plain, moved = (
        compare(Answers(set=("checkpointing=true", f"activation_offload={x}")), CPU, model(LLAMA_1B), rows(1000))
        for x in ("false", "true")
    )
    assert plain.methods["lora"].memory == moved.methods["lora"].memory


def test_a_head_with_an_adapter_is_planned_with_whole_logits() -> None:
    for settings in (("chunked_loss=true",), ()):
        answers = Answers(set=("target_modules=all-linear,lm_head", "micro_batch=4", *settings))
        seen = compare(answers, A100_80, model(LLAMA_8B), rows(1000)).methods["lora"]
        assert seen.plan.chunked_loss == bool(settings)
        whole = Answers(set=("target_modules=all-linear,lm_head", "micro_batch=4", "chunked_loss=false"))
        assert seen.memory == compare(whole, A100_80, model(LLAMA_8B), rows(1000)).methods["lora"].memory
