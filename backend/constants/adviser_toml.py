"""presets/adviser.toml: when a run is told that something looks wrong."""

from __future__ import annotations

from backend.constants.table import Table


class Diverges(Table, frozen=True):
    """The training loss rises."""

    rise: float
    steps: int


class Overfits(Table, frozen=True):
    """The held-out loss rises while the training loss falls."""

    evaluations: int
    rise: float


class Plateau(Table, frozen=True):
    """The held-out loss falls no more."""

    evaluations: int
    fall: float


class Slow(Table, frozen=True):
    """Hardly anything is learned."""

    part: float
    fall: float


class AdviserTable(Table, frozen=True):
    """The whole file."""

    smoothing: float
    least_steps: int
    diverges: Diverges
    overfits: Overfits
    plateau: Plateau
    slow: Slow
