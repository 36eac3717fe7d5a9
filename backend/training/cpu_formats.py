"""Which number format is faster on this CPU: a few matrix products in each, in alternation."""

from __future__ import annotations

import time
from contextlib import suppress

import torch
from torch import Tensor

from backend.hardware import host, rate
from backend.plan.plan import Plan
from backend.training.report import Report

ROWS, WIDTH = 256, 1024
TURNS = 6


def measure_bf16_gain() -> float:
    """Speed of bfloat16 relative to float32, by the fastest of several products in each, forward and backward."""
    fastest = dict.fromkeys((torch.float32, torch.bfloat16), float("inf"))
    made = {dtype: (torch.ones(ROWS, WIDTH, dtype=dtype), torch.ones(WIDTH, WIDTH, dtype=dtype)) for dtype in fastest}
    for _ in range(TURNS):
        for dtype, (inputs, weight) in made.items():
            fastest[dtype] = min(fastest[dtype], _seconds(inputs, weight))
    return fastest[torch.float32] / fastest[torch.bfloat16]


def note_bf16_gain(plan: Plan, report: Report) -> None:
    """Measure it for this box's next plans, and say so in the log if the run computes in the slower format."""
    gain = measure_bf16_gain()
    with suppress(OSError):  # a full disk is no reason to end the run
        rate.remember_bf16_gain(host.cpu(), gain)
    if plan.precision == "float32" and gain > 1:
        report.say(f"bfloat16 products are {gain:.1f} times as fast as float32 on this CPU")
    elif plan.precision == "bfloat16" and gain < 1:
        report.say(f"bfloat16 products take {1 / gain:.1f} times as long as float32 on this CPU")


def _seconds(inputs: Tensor, weight: Tensor) -> float:
    start = time.perf_counter()
    outputs = inputs @ weight.T
    outputs @ weight
    outputs.T @ inputs
    return time.perf_counter() - start
