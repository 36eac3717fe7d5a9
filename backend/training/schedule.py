"""The learning rate of each step: warm-up, then cosine or linear to a tenth, or constant."""

from __future__ import annotations

import math

from backend.plan.plan import Plan

FINAL_FRACTION = 0.1


def learning_rate(plan: Plan, step: int, total: int) -> float:
    """The rate of `step` (the first is 0) in a run of `total` steps."""
    warmup = math.ceil(plan.warmup_fraction * total)
    if step < warmup:
        return plan.learning_rate * (step + 1) / warmup
    progress = (step - warmup) / max(1, total - warmup - 1)
    return plan.learning_rate * _decay(plan.schedule, min(1.0, progress))


def _decay(schedule: str, progress: float) -> float:
    if schedule == "constant":
        return 1.0
    shape = (1 + math.cos(math.pi * progress)) / 2 if schedule == "cosine" else 1 - progress
    return FINAL_FRACTION + (1 - FINAL_FRACTION) * shape
