"""Hyperparameters by rule, and what the user set staying as it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from backend.answers import Answers
from backend.data import split
from backend.errors import UserError
from backend.plan import counts
from backend.plan.plan import Plan
from backend.plan.preset import Preset
from backend.planner import rules
from tests.shapes import A100_80, CPU, LLAMA_1B, LLAMA_8B, LLAMA_70B, T4, model, rows


def settle(method: str = "lora", answers: Answers = Answers(), shape=LLAMA_8B, data=None, device=A100_80, **info):  # type: ignore[no-untyped-def] # noqa: B008
    return rules.settle(method, answers, device, model(shape, **info), data or rows(5000), rules.pin(answers))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("count", "epochs"), [(400, 4), (5000, 3), (20_000, 2), (80_000, 1)], ids=lambda value: str(value)
)
def test_more_rows_take_fewer_epochs(count: int, epochs: int) -> None:
    assert settle(data=rows(count))[0].epochs == epochs
    assert settle("full", data=rows(count))[0].epochs == max(1, epochs - 1)


def test_the_rank_grows_with_the_scored_tokens() -> None:
    assert settle(data=rows(5000))[0].rank == 16
    many = rows(400_000, 400)  # 80 M target tokens against 2.6 M parameters a rank
    assert settle(data=many)[0].rank == 32
    assert LLAMA_8B.lora_parameters(32) >= many.scored_tokens > LLAMA_8B.lora_parameters(16)


def test_large_and_instruct_models_train_at_lower_rates() -> None:
    assert settle("lora")[0].learning_rate == 2e-4
    assert settle("lora", shape=LLAMA_70B)[0].learning_rate == 1e-4
    assert settle("full", shape=LLAMA_1B)[0].learning_rate == 2e-5
    assert settle("full", shape=replace(LLAMA_1B, instruct=True))[0].learning_rate == 1e-5


def test_the_length_holds_almost_all_rows() -> None:
    assert settle(data=rows(100, 100))[0].max_length == 512
    assert settle(data=rows(100, 700))[0].max_length == 1024
    assert settle(data=rows(100, 50_000))[0].max_length == 8192


def test_old_cards_train_in_float16_and_the_origin_says_why() -> None:
    plan, origin = settle(device=T4)
    assert plan.precision == "float16"
    assert "bfloat16" in origin["precision"]


def test_what_the_user_sets_stays() -> None:
    answers = Answers(max_length=777, epochs=7, seed=5, set=("rank=5", "learning_rate=3e-3", "warmup_fraction=0.2"))
    plan, origin = settle(answers=answers)
    assert (plan.max_length, plan.epochs, plan.seed, plan.rank, plan.learning_rate) == (777, 7.0, 5, 5, 3e-3)
    assert plan.warmup_fraction == 0.2
    assert {origin[key] for key in ("max_length", "epochs", "rank", "learning_rate")} == {"you"}


def test_a_preset_is_kept_and_the_user_wins_over_it() -> None:
    preset = Preset("mine", "", {"rank": 8, "alpha": 64.0}, {}, Path("mine.toml"), shipped=False)
    pinned = rules.pin(Answers(set=("rank=5",)), preset)
    assert (pinned.values["rank"], pinned.origin["rank"]) == (5, "you")
    assert (pinned.values["alpha"], pinned.origin["alpha"]) == (64.0, "preset mine")


def test_settings_that_exclude_each_other_are_refused() -> None:
    with pytest.raises(UserError, match="quantization: nf4 does not go with lora"):
        settle("lora", Answers(set=("method=lora", "quantization=nf4")))
    with pytest.raises(UserError, match="replay_fraction: general text has no preferences"):
        settle("lora", Answers(set=("replay_fraction=0.1", "objective=dpo")))
    with pytest.raises(UserError, match="it can't be compared with anything if measure_forgetting is false"):
        settle("lora", Answers(set=("max_forgetting=0.1", "measure_forgetting=false")))
    with pytest.raises(UserError, match="budget_stop: there is no budget to stop at; say --budget USD"):
        settle("lora", Answers(set=("budget_stop=true",)))
    with pytest.raises(UserError, match=r"task: '\(' is no regular expression"):
        settle("lora", Answers(set=("task=(",)))
    with pytest.raises(UserError, match="processes: 2, but there is one of the device; say --gpu NAME:2"):
        settle("lora", Answers(set=("processes=2",)))
    with pytest.raises(UserError, match="full fine-tuning only"):
        settle("lora", Answers(set=("method=lora", "optimizer_in_backward=true")))


def test_steps_follow_from_rows_batch_and_epochs() -> None:
    plan = Plan(effective_batch=16, epochs=2.0, eval_fraction=0.1)
    assert rules.steps(plan, rows(1000)) == 114  # 900 rows, 57 steps an epoch
    assert rules.steps(replace(plan, max_steps=10), rows(1000)) == 10


def test_the_demo_is_short_on_a_cpu_only() -> None:
    demo = rows(480, reference="demo")
    assert settle(data=demo, device=CPU, kind="demo")[0].max_steps > 0
    assert settle(data=demo, device=A100_80, kind="demo")[0].max_steps == 0


@pytest.mark.parametrize("count", [1, 7, 20, 480, 5000, 100_000])
@pytest.mark.parametrize("epochs", [1.0, 0.3, 2.5])
def test_as_many_steps_are_planned_as_the_trainer_makes(count: int, epochs: float) -> None:
    plan = Plan(epochs=epochs)
    held_out = len(split.held_out([str(i) for i in range(count)], plan.eval_fraction, seed=0))
    assert rules.steps(plan, rows(count)) == counts.total_steps(count - held_out, plan)


@pytest.mark.parametrize(
    ("count", "fraction"), [(100, 5 / 24), (1000, 0.1), (20_000, 0.03), (400_000, None), (16, 0.1)]
)
def test_warm_up_has_at_least_a_handful_of_steps_and_no_more_than_it_needs(count: int, fraction: float | None) -> None:
    plan, origin = settle(answers=Answers(epochs=4 if count < 1000 else 1), data=rows(count))
    most = 100 / rules.steps(plan, rows(count))
    assert plan.warmup_fraction == pytest.approx(fraction or most, abs=2e-5)
    assert origin["warmup_fraction"].endswith(("steps", "enough"))


def test_a_family_without_sdpa_is_planned_with_what_it_has() -> None:
    soft_capped = replace(LLAMA_8B, family="gemma2", attention=("eager", "flash_attention_2"))
    plan, origin = settle(shape=soft_capped)
    assert (plan.attention, origin["attention"]) == ("eager", "gemma2 has no sdpa in transformers")
    assert settle(shape=soft_capped, answers=Answers(set=("attention=sdpa",)))[0].attention == "eager"
    flash = settle(shape=soft_capped, answers=Answers(set=("attention=flash_attention_2",)))[0]
    assert flash.attention == "flash_attention_2"


def test_packed_rows_are_computed_by_themselves_where_the_device_can() -> None:
    assert settle()[0].attention == settle(device=CPU)[0].attention == "varlen"
    assert settle(answers=Answers(set=("packing=false",)))[0].attention == "sdpa"  # nothing to keep apart
    assert settle(answers=Answers(set=("attention=sdpa",)))[0].attention == "sdpa"
    assert settle(device=T4)[0].attention == "sdpa"  # before Ampere
    assert settle(answers=Answers(set=("precision=float32",)))[0].attention == "sdpa"
    assert settle(shape=replace(LLAMA_8B, head_dim=512))[0].attention == "sdpa"
    with pytest.raises(UserError, match="attention: varlen can't be taken here: T4 is no NVIDIA GPU of the Ampere"):
        settle(device=T4, answers=Answers(set=("attention=varlen",)))


def test_high_stakes_or_a_limit_measure_forgetting() -> None:
    assert not settle("lora", Answers())[0].measure_forgetting
    plan, origin = settle("lora", Answers(stakes="high"))
    assert plan.measure_forgetting and origin["measure_forgetting"] == "high stakes"
    assert settle("full", Answers(set=("max_forgetting=0.05",)))[0].measure_forgetting
    assert not settle("lora", Answers(stakes="high", set=("measure_forgetting=false",)))[0].measure_forgetting
