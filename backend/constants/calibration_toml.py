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
    """Upper quartile of their speeds over the lower one, beyond which the speed does not count."""
    full_percent: float
    """Percent of all cores in use from which on a run may lack one."""
    most_others_percent: float
    """Percent of all cores that other programs use in the median, beyond which the speed does not count."""


class Weight(Table, frozen=True):
    """How much a run counts."""

    unlike: float
    """Factor for a run of another method, of another torch or transformers, or of a model of quite another size."""
    like_parameters: float
    """Models whose sizes differ by more than this factor are of quite another size."""
    most_parameters: float
    """Models whose sizes differ by more than this factor say nothing of each other."""
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
    """Of the fixed bytes, which are corrected by a sum and not by a ratio."""


class CalibrationTable(Table, frozen=True):
    """The whole file."""

    newest: int
    """Records of a device that count, the newest ones."""
    ran_out_days: float
    steady: Steady
    weight: Weight
    limits: Limits
