"""What a preset leads to on a device: the method, and whether it fits, in figures."""

from __future__ import annotations

from typing import NamedTuple

from backend.answers import Answers, Method
from backend.data.report import DataReport
from backend.model.info import ModelInfo
from backend.plan.preset import Preset
from backend.planner import start
from backend.planner.compare import compare
from backend.planner.device import Device
from backend.planner.estimates import MethodEstimate


class Outlook(NamedTuple):
    """One method of a comparison, and what it was made for."""

    method: Method
    seen: MethodEstimate
    device: Device
    model: str
    """The model's name."""
    rows: int
    data: str
    """The data as it was named; empty if only its size is assumed."""


def outlook(preset: Preset, answers: Answers, device: Device, model: ModelInfo, data: DataReport) -> Outlook:
    """The method that the preset sets, else the recommended one, else the one that needs the least memory.

    `answers` are those that the wizard would start with. Raises UserError for what can't be planned.
    """
    found = compare(answers, device, start.of(answers, model), data, preset, advise=False)
    wanted: Method | None = preset.plan.get("method")
    least = min(found.methods, key=lambda method: found.methods[method].memory.peak_bytes)
    method = wanted or found.recommended or least
    return Outlook(method, found.methods[method], found.device, found.model.shape.name, data.rows, data.reference)
