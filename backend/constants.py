"""The planner's numbers: presets/*.toml, read once. No number about a GPU, a model or a method lives in code."""

from __future__ import annotations

import tomllib
from functools import cache
from typing import Any

from backend import paths

Table = dict[str, Any]


@cache
def table(name: str) -> Table:
    """presets/NAME.toml as a dictionary."""
    with (paths.SHIPPED / f"{name}.toml").open("rb") as file:
        return tomllib.load(file)


def methods() -> Table:
    """Hyperparameters, their rules, and the thresholds of the choice."""
    return table("methods")


def memory() -> Table:
    """Constants of the memory formulas."""
    return table("memory")


def throughput() -> Table:
    """Constants of the time estimate."""
    return table("throughput")


def calibration() -> Table:
    """How finished runs correct the predictions."""
    return table("calibration")
