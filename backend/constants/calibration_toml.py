"""presets/calibration.toml: how finished runs correct the predictions."""

from __future__ import annotations

from backend.constants.table import Table


class Steady(Table, frozen=True):
    """Which steps the speed of a run is measured on."""

    left_out: int
    """First steps that don't count."""
    least: int
    """Fewest steps that are enough."""
    most_spread: float
    """Largest ratio of the upper to the lower quartile of their speeds with which the speed counts."""
    full_percent: float
    """From this percentage of all cores in use on, a run may be short of a core."""
    most_others_percent: float
    """If other programs use more than this percentage of all cores (median), the speed does not count."""


class Weight(Table, frozen=True):
    """How much a run counts."""

    unlike: float
    """Factor for a run of another method, with another torch or transformers, or with a model of quite another size."""
    like_parameters: float
    """Models whose sizes differ by more than this factor are of quite another size."""
    most_parameters: float
    """Runs of models whose sizes differ by more than this factor don't count for each other."""
    prior: float
    """Weight of the formulas, in runs."""


class Limits(Table, frozen=True):
    """The most that each component is corrected by: ratios up to this, or down to its inverse."""

    resident: float
    transient: float
    slack: float
    loading: float
    speed: float
    overhead: float
    fixed_fraction: float
    """Limit for the fixed bytes, which are corrected by an added amount rather than a ratio."""


class CalibrationTable(Table, frozen=True):
    """The whole file."""

    newest: int
    """Records of a device that count, the newest ones."""
    ran_out_days: float
    steady: Steady
    weight: Weight
    limits: Limits
