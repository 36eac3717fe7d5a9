"""How many steps, evaluations and checkpoints a run has: what the trainer does and the planner predicts."""

from __future__ import annotations

import math

from backend.plan.plan import Plan


def steps_per_epoch(rows: int, plan: Plan) -> int:
    """Optimizer steps of one pass over `rows` training rows; the last one may hold fewer rows."""
    return math.ceil(rows / plan.effective_batch)


def total_steps(rows: int, plan: Plan) -> int:
    """Optimizer steps of the run."""
    steps = max(1, math.ceil(round(plan.epochs * steps_per_epoch(rows, plan), 6)))
    return min(steps, plan.max_steps) if plan.max_steps else steps


def eval_interval(plan: Plan, total: int) -> int:
    """Steps between evaluations."""
    return plan.eval_every or max(1, round(total / 10))


def save_interval(plan: Plan, total: int) -> int:
    """Steps between checkpoints; if both are open a multiple of `eval_interval`, so that the best is known."""
    if plan.save_every:
        return plan.save_every
    return max(1, round(total / 5)) if plan.eval_every else 2 * eval_interval(plan, total)


def replay_rows(rows: int, plan: Plan) -> int:
    """General rows that are mixed into `rows` training rows, to be `replay_fraction` of all of them."""
    return round(rows * plan.replay_fraction / (1 - plan.replay_fraction))


def sequences_per_row(plan: Plan) -> int:
    """Sequences that one row of the data makes: a row of preference data has two answers."""
    return 2 if plan.objective == "dpo" else 1


def times_due(interval: int, after: int, total: int) -> int:
    """How often something due every `interval` steps and at the end is due after step `after`."""
    if after >= total:
        return 0
    return total // interval - after // interval + (total % interval != 0)
