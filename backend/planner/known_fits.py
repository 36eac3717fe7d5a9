"""Which methods fit a device, for each well-known model: what a list of models says before there is any data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from backend.answers import METHODS, Answers, Method
from backend.data import inspect
from backend.errors import UserError
from backend.model import find, known
from backend.model.info import ModelInfo
from backend.planner import rules
from backend.planner.compare import estimate
from backend.planner.device import Device
from backend.planner.estimates import Fit, MethodEstimate

ROWS, ROW_TOKENS = 1000, 512
"""The data that is assumed."""


@dataclass(frozen=True)
class KnownFit:
    """A model of the table, and how each method fits."""

    ids: tuple[str, ...]
    """Every hub id of this shape, the one that it is fetched from first."""
    name: str
    parameters: int
    fits: dict[Method, Fit]


def of_all(device: Device) -> Iterator[KnownFit]:
    """Every well-known model on `device`, in the table's order."""
    for entry in known.models():
        yield KnownFit(entry.ids, entry.name, entry.parameters, of(find.from_table(entry), device))


def of(model: ModelInfo, device: Device) -> dict[Method, Fit]:
    """How each method fits; empty if it can't be planned there at all."""
    return {method: seen.fit for method, seen in estimates(model, device).items()}


def estimates(model: ModelInfo, device: Device) -> dict[Method, MethodEstimate]:
    """Each method for the assumed data; empty if it can't be planned there at all."""
    data, answers = inspect.assumed(ROWS, ROW_TOKENS), Answers()
    try:
        return {x: estimate(x, answers, device, model, data, rules.pin(answers)) for x in METHODS}
    except UserError:
        return {}
