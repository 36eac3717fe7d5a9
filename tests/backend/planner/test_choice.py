"""Situations as users have them, each with the recommendation and the words that decided it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backend.answers import Answers
from backend.data.report import DataReport
from backend.model.shape import ModelShape
from backend.planner.compare import compare
from backend.planner.device import Device
from tests.shapes import (
    A100_40,
    A100_80,
    CPU,
    H100,
    H200,
    LLAMA_1B,
    LLAMA_8B,
    LLAMA_70B,
    RTX_4090,
    T4,
    llama,
    model,
    rows,
)

SMOL = llama(576, 30, 9, 3, 1536, 49152, tied=True)
B3 = llama(3072, 28, 24, 8, 8192, 128256, tied=True)
B4 = llama(2560, 36, 32, 8, 9728, 151936, tied=True)
B14 = llama(5120, 40, 40, 8, 13824, 152064, tied=False)
B32 = llama(5120, 64, 40, 8, 27648, 152064, tied=False)
FOUR_A100, TWO_H100 = replace(A100_80, count=4), replace(H100, count=2)
DEEP = Answers(shift="deep")

SITUATIONS: list[tuple[str, Device, ModelShape, DataReport, Answers, str | None, str]] = [
    (
        "8B on a 4090 for $40",
        RTX_4090,
        LLAMA_8B,
        rows(5000),
        Answers(budget_usd=40),
        "qlora",
        "buys speed and longer rows",
    ),
    ("8B deep on a 4090", RTX_4090, LLAMA_8B, rows(20_000), DEEP, "qlora", "buys speed and longer rows"),
    ("8B on an A100 80", A100_80, LLAMA_8B, rows(5000), Answers(budget_usd=40), "lora", "nothing is gained"),
    ("8B on an A100 40", A100_40, LLAMA_8B, rows(5000), Answers(shift="domain"), "lora", "nothing is gained"),
    ("8B deep, 5,000 rows", A100_80, LLAMA_8B, rows(5000), DEEP, "full", "5,000 clean rows"),
    ("8B deep, 1,000 rows", A100_80, LLAMA_8B, rows(1000), DEEP, "lora", "nothing is gained"),
    ("8B deep, dirty rows", A100_80, LLAMA_8B, rows(5000, duplicate_rows=2000), DEEP, "lora", "nothing is gained"),
    ("8B deep, 5 variants", A100_80, LLAMA_8B, rows(5000), replace(DEEP, variants=5), "lora", "5 variants"),
    ("8B deep over budget", A100_80, LLAMA_8B, rows(400_000, 1000), replace(DEEP, budget_usd=42), "lora", "nothing"),
    ("8B deep on 4x A100", FOUR_A100, LLAMA_8B, rows(20_000), DEEP, "full", "20,000 clean rows"),
    (
        "8B deep on 2x H100",
        TWO_H100,
        LLAMA_8B,
        rows(20_000),
        replace(DEEP, budget_usd=500),
        "full",
        "is for, and it fits",
    ),
    ("8B on a T4", T4, LLAMA_8B, rows(2000), Answers(budget_usd=40), "qlora", "of the 14.6 GiB that a T4 has"),
    ("8B variants on a T4", T4, LLAMA_8B, rows(2000), Answers(variants=5), "qlora", "4-bit weights bring it down"),
    ("70B on a 4090", RTX_4090, LLAMA_70B, rows(5000), Answers(), None, "even QLoRA needs"),
    (
        "70B on an A100 80",
        A100_80,
        LLAMA_70B,
        rows(5000),
        Answers(budget_usd=100),
        "qlora",
        "4-bit weights bring it down",
    ),
    ("70B on an H200", H200, LLAMA_70B, rows(5000), Answers(budget_usd=100), "qlora", "buys speed and longer rows"),
    ("32B on an A100 80", A100_80, B32, rows(5000), Answers(budget_usd=40), "qlora", "buys speed and longer rows"),
    ("32B on a 4090", RTX_4090, B32, rows(5000), Answers(budget_usd=40), "qlora", "LoRA needs"),
    ("14B on a 4090", RTX_4090, B14, rows(5000), Answers(budget_usd=40), "qlora", "LoRA needs"),
    ("4B on a 4090", RTX_4090, B4, rows(3000), Answers(), "lora", "nothing is gained"),
    ("3B deep, full too large", RTX_4090, B3, rows(20_000), DEEP, "lora", "nothing is gained"),
    ("1B deep on a 4090", RTX_4090, LLAMA_1B, rows(5000), DEEP, "full", "5,000 clean rows"),
    ("1B on a T4", T4, LLAMA_1B, rows(5000), Answers(shift="domain"), "lora", "nothing is gained"),
    ("135M on a CPU", CPU, SMOL, rows(480, 200), Answers(), "lora", "nothing is gained"),
    ("8B on a CPU", CPU, LLAMA_8B, rows(480, 200), Answers(), None, "Nothing fits"),
    ("no budget to speak of", RTX_4090, LLAMA_8B, rows(20_000), Answers(budget_usd=0.1), None, "budget of $0.10"),
    ("no time", RTX_4090, LLAMA_8B, rows(20_000), Answers(deadline_hours=0.2), None, "within your 0.2 h"),
    ("8B, rows of 8,000 tokens", A100_80, LLAMA_8B, rows(2000, 8000), Answers(budget_usd=100), "lora", "nothing"),
    ("high stakes", H100, LLAMA_8B, rows(8000), Answers(stakes="high", shift="domain"), "lora", "nothing is gained"),
    ("30 rows", RTX_4090, LLAMA_8B, rows(30), Answers(), "qlora", "buys speed and longer rows"),
    ("the user set QLoRA", A100_80, LLAMA_8B, rows(5000), Answers(set=("method=qlora",)), "qlora", "You set QLoRA"),
    ("the user set full", RTX_4090, LLAMA_8B, rows(5000), Answers(set=("method=full",)), None, "Full needs"),
]


@pytest.mark.parametrize("situation", SITUATIONS, ids=[x[0] for x in SITUATIONS])
def test_the_recommendation_and_what_decided_it(
    situation: tuple[str, Device, ModelShape, DataReport, Answers, str | None, str],
) -> None:
    _, device, shape, data, answers, method, words = situation
    comparison = compare(answers, device, model(shape), data)
    assert comparison.recommended == method
    assert words in comparison.reasons[0]


def test_the_recommended_method_fits_and_the_others_say_why_not() -> None:
    for _, device, shape, data, answers, method, _ in SITUATIONS:
        comparison = compare(answers, device, model(shape), data)
        for name, seen in comparison.methods.items():
            if name == method:
                assert seen.fit != "no"
                assert not seen.why_not
                assert not seen.obstacles
            elif method is not None:
                assert seen.why_not, (device.name, name)
            if seen.fit == "no":
                assert any("needs" in sentence for sentence in seen.obstacles)


def test_every_answer_moves_the_figures() -> None:
    base = compare(Answers(), A100_80, model(LLAMA_8B), rows(5000)).methods["lora"]

    def changed(answers: Answers, data: DataReport | None = None, device: Device = A100_80) -> tuple[object, ...]:
        seen = compare(answers, device, model(LLAMA_8B), data or rows(5000)).methods["lora"]
        return (seen.memory.peak_bytes, seen.hours.point, seen.cost_usd, seen.checkpoint_bytes)

    before = (base.memory.peak_bytes, base.hours.point, base.cost_usd, base.checkpoint_bytes)
    for after in (
        changed(Answers(epochs=1)),
        changed(Answers(max_length=256)),
        changed(Answers(effective_batch=64)),
        changed(Answers(set=("rank=64",))),
        changed(Answers(price_usd_per_hour=9.0)),
        changed(Answers(), rows(9000)),
        changed(Answers(), device=H100),
    ):
        assert after != before


def test_few_rows_and_an_unknown_price_are_said() -> None:
    notes = compare(Answers(), replace(A100_80, price=None), model(LLAMA_8B), rows(30)).notes
    assert any("Under 50 rows" in note for note in notes)
    assert any("No dated price" in note for note in notes)
