"""Situations as users have them, each with the recommendation and words of the reason that decides it.

One list for the test (tests/backend/planner/test_choice.py) and for the table (tests/bench/situations.py).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from backend.answers import Answers
from backend.data.report import DataReport
from backend.model.shape import Linear, ModelShape
from backend.planner.box import Box
from backend.planner.device import Device
from tests.shapes import (
    A100_40,
    A100_80,
    CPU,
    GIB,
    H100,
    H200,
    LLAMA_1B,
    LLAMA_8B,
    LLAMA_70B,
    RTX_4090,
    T4,
    llama,
    rows,
)


@dataclass(frozen=True)
class Situation:
    """A user's case, what is recommended, and words of the first reason."""

    name: str
    device: Device
    shape: ModelShape
    data: DataReport
    answers: Answers
    method: str | None
    words: str


SMOL = llama(576, 30, 9, 3, 1536, 49152, tied=True)
B3 = llama(3072, 28, 24, 8, 8192, 128256, tied=True)
B4 = llama(2560, 36, 32, 8, 9728, 151936, tied=True)
B14 = llama(5120, 40, 40, 8, 13824, 152064, tied=False)
B32 = llama(5120, 64, 40, 8, 27648, 152064, tied=False)
FOUR_A100, TWO_H100 = replace(A100_80, count=4), replace(H100, count=2)
DEEP = Answers(shift="deep")
B05 = llama(896, 24, 14, 2, 4864, 151936, tied=True)
MOE_30B = replace(
    llama(2048, 48, 32, 4, 6144, 151936, tied=False),
    head_dim=128,
    linears=(
        Linear("q_proj", 2048, 4096),
        Linear("k_proj", 2048, 512),
        Linear("v_proj", 2048, 512),
        Linear("o_proj", 4096, 2048),
    ),
    experts=128,
    experts_per_token=8,
    expert_linears=(Linear("gate_up_proj", 2048, 1536), Linear("down_proj", 768, 2048)),
    router_parameters=48 * 2048 * 128,
)
"""The shape of Qwen3-30B-A3B."""
EIGHT_H100 = replace(H100, count=8)
SMALL_DISK = replace(A100_80, here=True, box=Box(256 * GIB, "/runs", 60 * 10**9, "/runs", 60 * 10**9, True))

SITUATIONS: list[Situation] = [
    Situation(
        "8B on a 4090 for $40",
        RTX_4090,
        LLAMA_8B,
        rows(5000),
        Answers(budget_usd=40),
        "qlora",
        "buys speed and longer rows",
    ),
    Situation("8B deep on a 4090", RTX_4090, LLAMA_8B, rows(20_000), DEEP, "qlora", "buys speed and longer rows"),
    Situation("8B on an A100 80", A100_80, LLAMA_8B, rows(5000), Answers(budget_usd=40), "lora", "nothing is gained"),
    Situation("8B on an A100 40", A100_40, LLAMA_8B, rows(5000), Answers(shift="domain"), "lora", "nothing is gained"),
    Situation("8B deep, 5,000 rows", A100_80, LLAMA_8B, rows(5000), DEEP, "full", "5,000 clean rows"),
    Situation("8B deep, 1,000 rows", A100_80, LLAMA_8B, rows(1000), DEEP, "lora", "nothing is gained"),
    Situation(
        "8B deep, dirty rows", A100_80, LLAMA_8B, rows(5000, duplicate_rows=2000), DEEP, "lora", "nothing is gained"
    ),
    Situation("8B deep, 5 variants", A100_80, LLAMA_8B, rows(5000), replace(DEEP, variants=5), "lora", "5 variants"),
    Situation(
        "8B deep over budget", A100_80, LLAMA_8B, rows(400_000, 1000), replace(DEEP, budget_usd=42), "lora", "nothing"
    ),
    Situation("8B deep on 4x A100", FOUR_A100, LLAMA_8B, rows(20_000), DEEP, "full", "20,000 clean rows"),
    Situation(
        "8B deep on 2x H100",
        TWO_H100,
        LLAMA_8B,
        rows(20_000),
        replace(DEEP, budget_usd=500),
        "full",
        "is for, and it fits",
    ),
    Situation("8B on a T4", T4, LLAMA_8B, rows(2000), Answers(budget_usd=40), "qlora", "of the 14.6 GiB that a T4 has"),
    Situation(
        "8B variants on a T4", T4, LLAMA_8B, rows(2000), Answers(variants=5), "qlora", "4-bit weights bring it down"
    ),
    Situation("70B on a 4090", RTX_4090, LLAMA_70B, rows(5000), Answers(), None, "even QLoRA needs"),
    Situation(
        "70B on an A100 80",
        A100_80,
        LLAMA_70B,
        rows(5000),
        Answers(budget_usd=100),
        "qlora",
        "4-bit weights bring it down",
    ),
    Situation(
        "70B on an H200", H200, LLAMA_70B, rows(5000), Answers(budget_usd=100), "qlora", "buys speed and longer rows"
    ),
    Situation(
        "32B on an A100 80", A100_80, B32, rows(5000), Answers(budget_usd=40), "qlora", "buys speed and longer rows"
    ),
    Situation("32B on a 4090", RTX_4090, B32, rows(5000), Answers(budget_usd=40), "qlora", "LoRA needs"),
    Situation("14B on a 4090", RTX_4090, B14, rows(5000), Answers(budget_usd=40), "qlora", "LoRA needs"),
    Situation("4B on a 4090", RTX_4090, B4, rows(3000), Answers(), "lora", "nothing is gained"),
    Situation("3B deep on a 4090", RTX_4090, B3, rows(20_000), DEEP, "full", "20,000 clean rows"),
    Situation("1B deep on a 4090", RTX_4090, LLAMA_1B, rows(5000), DEEP, "full", "5,000 clean rows"),
    Situation("1B on a T4", T4, LLAMA_1B, rows(5000), Answers(shift="domain"), "lora", "nothing is gained"),
    Situation("135M on a CPU", CPU, SMOL, rows(480, 200), Answers(), "lora", "nothing is gained"),
    Situation("8B on a CPU", CPU, LLAMA_8B, rows(480, 200), Answers(), None, "Nothing fits"),
    Situation(
        "no budget to speak of", RTX_4090, LLAMA_8B, rows(20_000), Answers(budget_usd=0.1), None, "budget of $0.10"
    ),
    Situation("no time", RTX_4090, LLAMA_8B, rows(20_000), Answers(deadline_hours=0.2), None, "within your 0.2 h"),
    Situation(
        "8B, rows of 8,000 tokens", A100_80, LLAMA_8B, rows(2000, 8000), Answers(budget_usd=100), "lora", "nothing"
    ),
    Situation("high stakes", H100, LLAMA_8B, rows(8000), Answers(stakes="high", shift="domain"), "lora", "High stakes"),
    Situation("30 rows", RTX_4090, LLAMA_8B, rows(30), Answers(), "qlora", "buys speed and longer rows"),
    Situation(
        "the user set QLoRA", A100_80, LLAMA_8B, rows(5000), Answers(set=("method=qlora",)), "qlora", "You set QLoRA"
    ),
    Situation("the user set full", RTX_4090, LLAMA_8B, rows(5000), Answers(set=("method=full",)), None, "Full needs"),
    Situation(
        "8B on a 4090, high stakes", RTX_4090, LLAMA_8B, rows(5000), Answers(stakes="high"), "lora", "High stakes"
    ),
    Situation(
        "14B on an A100 40, high stakes", A100_40, B14, rows(5000), Answers(stakes="high"), "lora", "High stakes"
    ),
    Situation("14B on a 4090, high stakes", RTX_4090, B14, rows(5000), Answers(stakes="high"), "qlora", "LoRA needs"),
    Situation("70B deep on a 4090", RTX_4090, LLAMA_70B, rows(50_000), DEEP, None, "even QLoRA needs"),
    Situation("8B deep on a T4", T4, LLAMA_8B, rows(5000), DEEP, "qlora", "4-bit weights bring it down"),
    Situation("0.5B, 50,000 rows", RTX_4090, B05, rows(50_000), Answers(), "lora", "nothing is gained"),
    Situation("0.5B deep, 2 M long rows", A100_80, B05, rows(2_000_000, 1000), DEEP, "full", "is for, and it fits"),
    Situation(
        "8B deep, high stakes", A100_80, LLAMA_8B, rows(5000), replace(DEEP, stakes="high"), "full", "5,000 clean"
    ),
    Situation(
        "8B, budget for two runs", A100_40, LLAMA_8B, rows(20_000), Answers(budget_usd=3), "lora", "nothing is gained"
    ),
    Situation(
        "8B, 20 variants, high stakes", H100, LLAMA_8B, rows(500), Answers(variants=20, stakes="high"), "lora", "20"
    ),
    Situation("30B of experts on an A100 80", A100_80, MOE_30B, rows(5000), Answers(), "lora", "its experts are fused"),
    Situation("30B of experts on a 4090", RTX_4090, MOE_30B, rows(5000), Answers(), None, "even QLoRA needs"),
    Situation("14B deep on 8x H100", EIGHT_H100, B14, rows(20_000), DEEP, "full", "20,000 clean rows"),
    Situation("8B deep, little disk", SMALL_DISK, LLAMA_8B, rows(5000), DEEP, "lora", "nothing is gained"),
    Situation("8B within two hours", RTX_4090, LLAMA_8B, rows(5000), Answers(deadline_hours=2), "qlora", "buys speed"),
    Situation(
        "the user set LoRA", RTX_4090, LLAMA_8B, rows(5000), Answers(set=("method=lora",)), "lora", "You set LoRA"
    ),
]
