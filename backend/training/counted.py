"""Whether the model that was loaded has the parameters that the plan counted: memory and time follow from them."""

from __future__ import annotations

import math
from collections.abc import Iterable

from torch.nn import Parameter

from backend import units
from backend.plan.job import Prediction
from backend.training.methods import Loaded

MOST = 0.01
"""Part of the planned count by which the real one may differ without a word."""


def difference(loaded: Loaded, predicted: Prediction | None) -> str | None:
    """A sentence if the parameters, or those that train, are others than planned; None if they are not."""
    if predicted is None:
        return None
    trains = sum(map(_elements, loaded.trainable().values()))
    planned = predicted.trainable_parameters
    if planned and _differ(trains, planned):
        return _sentence(trains, planned, "trainable parameters")
    every = list(loaded.network.parameters())
    frozen = [x for x in every if not x.requires_grad]
    is_adapter = len(frozen) < len(every) and loaded.model is not loaded.network
    whole = _sum(frozen if is_adapter else every)
    planned = predicted.uncorrected.parameters if predicted.uncorrected else 0
    return _sentence(whole, planned, "parameters") if planned and _differ(whole, planned) else None


def _sum(parameters: Iterable[Parameter]) -> int:
    return sum(map(_elements, parameters))


def _elements(parameter: Parameter) -> int:
    """Of a matrix in 4 bits those that it stands for."""
    state = getattr(parameter, "quant_state", None)
    return parameter.numel() if state is None else math.prod(state.shape)


def _differ(real: int, planned: int) -> bool:
    return abs(real / planned - 1) > MOST


def _sentence(real: int, planned: int, what: str) -> str:
    return (
        f"the model has {units.count(real)} {what}, and the plan counted {units.count(planned)}: memory and time will "
        "be others than predicted"
    )
