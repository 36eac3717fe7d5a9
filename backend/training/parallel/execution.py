"""How the steps of a run are executed in this process: what nearly every part of the trainer asks for, in one value."""

from __future__ import annotations

from dataclasses import dataclass

from backend.plan.plan import Plan
from backend.training.parallel.ranks import ALONE, Ranks


@dataclass(frozen=True)
class Execution:
    """The settings, the device, and this process among those of the run."""

    plan: Plan
    """The current plan: running out of memory replaces it by a cheaper one."""
    device: str
    """`cuda` or `cpu`."""
    flat: bool = False
    """The sequences of a micro-batch are concatenated into one, as flash attention takes packed rows."""
    ranks: Ranks = ALONE
