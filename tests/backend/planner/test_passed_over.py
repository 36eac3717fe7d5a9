"""Settings of the user that have no effect on a plan are reported, and those that have one are not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backend.answers import Answers, Method
from backend.data.report import DataReport
from backend.errors import UserError
from backend.planner.compare import compare
from backend.planner.device import Device
from tests.shapes import A100_80, CPU, LLAMA_1B, T4, model, rows
from tui import starting


def said(*settings: str, method: Method = "lora", device: Device = A100_80, data: DataReport | None = None) -> str:
    answers = Answers(model="m", data="d", price_usd_per_hour=0.0, budget_usd=9.0, set=(f"method={method}", *settings))
    found = compare(answers, device, model(LLAMA_1B), data or rows(1000))
    own = [note for note in found.notes if " changes nothing: " in note]
    assert own == [x for x in starting.warnings(found, method) if isinstance(x, str) and " changes nothing: " in x]
    return "\n".join(own)


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        ("early_stopping_min_delta=0.1", "no patience is set with it"),
        ("task_rows=9", "no task is set with it"),
        ("task_tokens=9", "no task is set with it"),
        ("preference_beta=0.3", "it is for dpo and kto"),
        ("weights_dtype=bfloat16", "it is for full fine-tuning; adapters have adapter_dtype"),
        ("max_steps=9999", "the run ends after 3 epochs, 180 steps; set epochs too"),
        ("micro_batch=64", "a step has 16 rows on a device"),
        ("measure_kernels=true", ""),
        ("budget_stop=true", "the run costs nothing"),
    ],
)
def test_what_has_no_effect_is_said(setting: str, why: str) -> None:
    assert said(setting) == (f"{setting} changes nothing: {why}." if why else "")


def test_what_other_settings_leave_without_effect() -> None:
    for setting in ("rank=8", "dropout=0.1", "target_modules=q_proj", "adapter_dtype=bfloat16"):
        assert "trains the weights themselves, without an adapter" in said(setting, method="full")
    assert said("keep=best", "eval_fraction=0").startswith("keep=best changes nothing: no row is held out")
    assert (
        said("eval_fraction=0.01", data=rows(10))
        == "eval_fraction=0.01 changes nothing: it makes less than one of 10 rows."
    )
    assert "beside 19 rows it makes less than one" in said("replay_fraction=0.01", data=rows(20))
    assert "dpo compares whole answers" in said("packing=true", "objective=dpo")
    assert "in precision bfloat16 only, and it is float16" in said("adapter_dtype=bfloat16", device=T4)
    assert "all gradients at once" in said("optimizer_in_backward=true", method="full", device=T4)
    assert "a CPU has no other memory" in said("activation_offload=true", device=CPU)
    assert "timed by supervised runs on a single GPU" in said("measure_kernels=true", device=CPU)
    assert "the head carries an adapter" in said("chunked_loss=true", "target_modules=all-linear,lm_head")


def test_what_has_an_effect_is_not_named() -> None:
    assert not said("early_stopping_min_delta=0.1", "early_stopping_patience=2", "task=exact", "task_rows=5")
    assert not said("preference_beta=0.3", "objective=dpo", "packing=false", "max_steps=20", "micro_batch=8")
    assert not said("rank=8", "dropout=0.1", "adapter_dtype=bfloat16", "keep=best", "eval_fraction=0.05")
    assert not said("optimizer_in_backward=true", "weights_dtype=bfloat16", method="full")
    assert not said("general_data=x.jsonl") and not said("replay_fraction=0.1", "activation_offload=true")


def test_settings_of_a_method_that_is_not_taken_are_named() -> None:
    answers = Answers(model="m", data="d", set=("quantization=nf4", "optimizer_in_backward=true"))
    found = compare(answers, A100_80, model(LLAMA_1B), rows(1000))
    assert found.recommended == "lora"
    notes = "\n".join(found.notes)
    assert "quantization=nf4 changes nothing: LoRA keeps the base in bfloat16." in notes
    assert "optimizer_in_backward=true changes nothing: it is for full fine-tuning" in notes
    assert not found.methods["lora"].plan.optimizer_in_backward and found.methods["full"].plan.optimizer_in_backward


def test_what_contradicts_itself_is_refused() -> None:
    with pytest.raises(UserError, match="activation_offload: it moves what checkpointing keeps"):
        said("activation_offload=true", "checkpointing=false")
    with pytest.raises(UserError, match="effective_batch: kto compares each answer with those of other rows"):
        compare(Answers(effective_batch=1, set=("objective=kto",)), replace(A100_80), model(LLAMA_1B), rows(1000))
