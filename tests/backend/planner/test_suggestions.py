"""What would make a method fit: each suggestion works if it is followed, and the smallest change comes first."""

from __future__ import annotations

import re
from dataclasses import replace

from backend.answers import Answers
from backend.planner import devices
from backend.planner.compare import compare
from tests.shapes import A100_80, CPU, LLAMA_8B, LLAMA_70B, RTX_4090, T4, model, rows


def test_a_shorter_length_is_the_longest_that_fits() -> None:
    data, answers = rows(500, 40_000), Answers(max_length=65_536)
    long = replace(model(), shape=replace(model().shape, context=131_072))
    stuck = compare(answers, RTX_4090, long, data).methods["lora"]
    assert stuck.fit == "no"
    first = stuck.suggestions[0]
    length = int(re.findall(r"--max-length (\d+)", first)[0])
    assert "500 of 500 rows would be cut" in first
    assert compare(replace(answers, max_length=length), RTX_4090, long, data).methods["lora"].fit != "no"
    longer = length * 4 // 3 if length & (length - 1) else length * 3 // 2
    assert compare(replace(answers, max_length=longer), RTX_4090, long, data).methods["lora"].fit == "no"


def test_a_setting_that_the_user_fixed_comes_before_all_else() -> None:
    answers = Answers(set=("micro_batch=16", "checkpointing=false"))
    stuck = compare(answers, RTX_4090, model(), rows(5000, 2000)).methods["lora"]
    assert stuck.suggestions[0].startswith("With micro_batch and checkpointing left to the planner it takes")
    assert compare(Answers(), RTX_4090, model(), rows(5000, 2000)).methods["lora"].fit != "no"


def test_the_leaner_method_is_the_nearest_that_fits() -> None:
    assert any("LoRA takes" in x for x in compare(Answers(), RTX_4090, model(), rows(5000)).methods["full"].suggestions)
    seen = compare(Answers(), T4, model(), rows(5000)).methods
    assert any(x.startswith("QLoRA takes") for x in seen["lora"].suggestions)
    assert any(x.startswith("QLoRA takes") for x in seen["full"].suggestions)


def test_the_gpu_that_is_named_holds_it_and_no_cheaper_one_does() -> None:
    seen = compare(Answers(), RTX_4090, model(LLAMA_70B), rows(5000)).methods["qlora"]
    named = re.findall(r"is an? (.+?): ", seen.suggestions[0])[0]
    holds = compare(Answers(), devices.named(named), model(LLAMA_70B), rows(5000))
    assert holds.methods["qlora"].fit != "no"
    price = holds.device.price
    assert price is not None
    for name in devices.choices()[:-1]:
        other = devices.named(name)
        if other.price is not None and other.price.typical < price.typical and other.compute_capability:
            assert compare(Answers(), other, model(LLAMA_70B), rows(5000)).methods["qlora"].fit == "no", name


def test_several_devices_are_offered_for_full_fine_tuning_only() -> None:
    methods = compare(Answers(), RTX_4090, model(LLAMA_70B), rows(5000)).methods
    assert not any("each" in sentence for sentence in methods["qlora"].suggestions)
    sharded = compare(Answers(), RTX_4090, model(), rows(5000)).methods["full"].suggestions[-1]
    assert sharded.startswith("Sharded over ") and sharded.endswith(" on each.")
    count = int(re.findall(r"over (\d+) x", sharded)[0])
    assert compare(Answers(), replace(RTX_4090, count=count), model(), rows(5000)).methods["full"].fit != "no"
    assert compare(Answers(), replace(RTX_4090, count=count // 2), model(), rows(5000)).methods["full"].fit == "no"


def test_what_fits_needs_no_suggestion_and_a_cpu_is_shown_gpus() -> None:
    assert not compare(Answers(), A100_80, model(LLAMA_8B), rows(5000)).methods["lora"].suggestions
    full = compare(Answers(), CPU, model(LLAMA_8B), rows(480)).methods["full"].suggestions
    assert any(x.startswith("The cheapest GPU to rent on which it fits is an RTX A6000") for x in full)
