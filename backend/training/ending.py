"""Why a run ends before its last step: a command, or a limit that the plan sets."""

from __future__ import annotations

from typing import NamedTuple

from backend import units
from backend.plan.plan import Plan
from backend.training.meters.progress import RunProgress


class Ending(NamedTuple):
    """How a run ends early."""

    state: str
    """`done`, `stopped` or `paused`: done, if nothing is left that the plan would train."""
    reason: str | None = None
    """Why, in a sentence; None if the user asked for it."""


def budget_spent(plan: Plan, budget_usd: float | None, spent_usd: float | None, save_usd: float) -> Ending | None:
    """Writing a checkpoint and the result now takes what is left of the budget."""
    if not plan.budget_stop or budget_usd is None or spent_usd is None or spent_usd + save_usd < budget_usd:
        return None
    return Ending(
        "stopped",
        f"stopped at the budget: {units.usd(spent_usd)} of {units.usd(budget_usd)} are spent; to train on, set "
        "budget_stop = false in the run's plan.toml and resume it",
    )


def too_much_forgotten(progress: RunProgress) -> Ending | None:
    """The general text's loss has passed the plan's limit."""
    return Ending("done", f"ended early: {progress.forgot}") if progress.forgot else None


def early_stop(plan: Plan, progress: RunProgress) -> Ending | None:
    """The held-out loss has not improved for as many evaluations as the plan allows."""
    patience = plan.early_stopping_patience
    if not patience or progress.stale_evaluations < patience:
        return None
    not_fallen = (
        f"ended early: in {units.counted(progress.stale_evaluations, 'evaluation')} the held-out loss has not fallen"
    )
    if plan.early_stopping_min_delta:  # it may have fallen by less, and the lowest be of the last of them
        return Ending(
            "done", f"{not_fallen} by more than {plan.early_stopping_min_delta:g} below the lowest before each"
        )
    before, lowest = progress.eval_before, progress.best_loss
    is_first = lowest is None or (before is not None and before <= lowest)
    best = "before training" if is_first else f"at step {progress.best_step:,}"
    return Ending("done", f"{not_fallen} below the one {best}")
