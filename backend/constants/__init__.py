"""The planner's numbers: presets/*.toml, read once into typed tables.

No number about a GPU, a model or a method is in code. A table here mirrors a file there, whose comments say where each
figure comes from. A key that is missing, unknown or of another type is an error when the file is read.
"""

from __future__ import annotations

from functools import cache
from typing import TypeVar

from backend import paths, typed
from backend.constants.adviser_toml import AdviserTable
from backend.constants.calibration_toml import CalibrationTable
from backend.constants.forgetting_toml import ForgettingTable, GeneralTable
from backend.constants.host_toml import HostTable
from backend.constants.memory_toml import MemoryTable
from backend.constants.methods_toml import MethodsTable
from backend.constants.throughput_toml import ThroughputTable
from backend.constants.trial_toml import TrialTable

Kind = TypeVar("Kind")


@cache
def methods() -> MethodsTable:
    """Hyperparameters, their rules, and the thresholds of the choice."""
    return _read("methods", MethodsTable)


@cache
def memory() -> MemoryTable:
    """Constants of the memory formulas."""
    return _read("memory", MemoryTable)


@cache
def throughput() -> ThroughputTable:
    """Constants of the time estimate."""
    return _read("throughput", ThroughputTable)


@cache
def calibration() -> CalibrationTable:
    """How finished runs correct the predictions."""
    return _read("calibration", CalibrationTable)


@cache
def host() -> HostTable:
    """Constants of host memory and disk."""
    return _read("host", HostTable)


@cache
def trial() -> TrialTable:
    """How long a trial is."""
    return _read("trial", TrialTable)


@cache
def adviser() -> AdviserTable:
    """When a run is told that something looks wrong."""
    return _read("adviser", AdviserTable)


@cache
def forgetting() -> ForgettingTable:
    """How forgetting is measured and described."""
    return _read("forgetting", ForgettingTable)


@cache
def general() -> GeneralTable:
    """The parts of the general set that ships."""
    return _read("general/parts", GeneralTable)


def _read(name: str, kind: type[Kind]) -> Kind:
    return typed.from_toml((paths.SHIPPED / f"{name}.toml").read_bytes(), kind)
