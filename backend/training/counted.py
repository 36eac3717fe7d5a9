"""Whether the model that was loaded has the parameters that the plan counted: memory and time follow from them."""

from __future__ import annotations

import math
from collections.abc import Iterable

from torch.nn import Parameter

from backend import units
from backend.plan.job import Prediction
from backend.training.methods import Loaded

MOST = 0.01
"""A difference of up to this share of the planned count is not reported."""


def difference(loaded: Loaded, predicted: Prediction | None) -> str | None:
    """A sentence if the number of parameters, or of trainable ones, is not the planned one; None if it is."""
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
    """Number of elements; of a 4-bit matrix those of the matrix that it stands for."""
    state = getattr(parameter, "quant_state", None)
    return parameter.numel() if state is None else math.prod(state.shape)


def _differ(real: int, planned: int) -> bool:
    return abs(real / planned - 1) > MOST


def _sentence(real: int, planned: int, what: str) -> str:
    return (
        f"the model has {units.count(real)} {what}, and the plan counted {units.count(planned)}: memory and time will "
        "be others than predicted"
    )
