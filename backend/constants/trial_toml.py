"""presets/trial.toml: how long a trial is."""

from __future__ import annotations

from backend.constants.table import Table


class Patience(Table, frozen=True):
    """When a trial that is slower than predicted is ended."""

    stop: float
    """It is stopped at its next step after this many times the predicted time."""
    kill: float
    """Its process is killed after this many times as long as that."""
    least_seconds: float


class TrialTable(Table, frozen=True):
    """The whole file."""

    steps: int
    least_steps: int
    seconds: float
    """Time for the steps of one method, as predicted."""
    least_seconds: float
    """The least time of the steps of each method, if all train for the same time."""
    faster: float
    """At most this many times the predicted number of steps, if all methods train for the same time."""
    held_out_share: float
    """Time for both evaluations, over that of the steps."""
    least_held_out: int
    task_rows: int
    patience: Patience
