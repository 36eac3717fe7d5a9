"""The published guidance's figures beside ours, if a job is comparable and they differ."""

from __future__ import annotations

from collections.abc import Iterator

from backend import constants, units
from backend.answers import Method
from backend.constants.methods_toml import GuidanceTable
from backend.data.report import DataReport
from backend.model.info import ModelInfo
from backend.planner import rules
from backend.planner.device import Device
from backend.planner.estimates import MethodEstimate


def figures() -> GuidanceTable:
    """The [guidance] table of presets/methods.toml."""
    return constants.methods().guidance


def comparable(method: Method, model: ModelInfo, device: Device) -> bool:
    """Whether the model's size and the kind and number of GPUs are those of the guidance."""
    low, high = figures().parameters
    own = figures().of(method)
    named = device.name.startswith(own.gpus)
    many = device.count >= own.count if own.count > 1 else device.count == 1
    return low <= model.shape.parameters <= high and named and many


def notes(model: ModelInfo, device: Device, data: DataReport, seen: MethodEstimate) -> Iterator[str]:
    """A sentence if the predicted cost is outside the guidance's range, with the data that would cost as much."""
    if seen.cost_usd is None or not seen.cost_usd.point or not comparable(seen.method, model, device):
        return
    own = figures().of(seen.method)
    low, high = own.usd
    if seen.cost_usd.high >= low and seen.cost_usd.low <= high:
        return
    bound = low if seen.cost_usd.high < low else high
    tokens = data.cut(seen.plan.max_length).tokens * seen.plan.epochs
    yield (
        f"The guidance has {rules.title(seen.method)} of an 8B at USD {low}-{high} on {own.on}; "
        f"for your {units.count(tokens)} tokens we predict {units.usd(seen.cost_usd.point)}, and USD {bound} for "
        f"about {units.count(tokens * bound / seen.cost_usd.point)}."
    )
