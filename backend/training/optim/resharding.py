"""Optimizer states of a full model that another number of ranks wrote, divided anew among the ranks that resume.

Each rank saves the states of its own shards, rows of every weight as FSDP2 divides them. torch's distributed checkpoint
is not used for them: it can't cut 8-bit states, whose scales belong to blocks of 256 elements, and what it reads first
is a pickle, which can run code. Here 8-bit states are widened to float32, cut, and put into 8 bits again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from backend.training.optim.optimizers import State
from backend.training.optim.rounding import in_order, pieces, together
from backend.training.optim.states import Values

Saved = dict[str, list[Mapping[str, Any]]]
"""Parameter -> the saved states of its pieces."""


def rows(total: int, count: int, rank: int) -> range:
    """The rows of a weight that `rank` of `count` holds, as FSDP2 (and `torch.chunk`) divides them."""
    each = -(-total // count)
    return range(min(total, rank * each), min(total, (rank + 1) * each))


class Resharded:
    """The states that the ranks of a checkpoint have written, by parameter and rows."""

    def __init__(self, states: Sequence[State], parameters: Mapping[str, Tensor]) -> None:
        """`states`: those of every rank; `parameters`: those they belong to, by name, in order, with shape and type."""
        self._totals = {name: len(x) for name, x in parameters.items()}
        self._ranks = [_by_name(state, _shards(parameters, len(states), rank)) for rank, state in enumerate(states)]

    def of(self, name: str, wanted: range) -> Values:
        """The states of these rows of a parameter; empty if it has not been stepped yet."""
        parts = []
        for rank, saved in enumerate(self._ranks):
            has = rows(self._totals[name], len(self._ranks), rank)
            both = slice(max(has.start, wanted.start) - has.start, min(has.stop, wanted.stop) - has.start)
            if both.start < both.stop:
                parts.append(_cut(together(saved[name]), both))
        return in_order(parts)


def _shards(parameters: Mapping[str, Tensor], count: int, rank: int) -> dict[str, Parameter]:
    """A rank's shard of each parameter, on the meta device; parameters of which it had no rows are left out."""
    found = {}
    for name, whole in parameters.items():
        shape = (len(rows(len(whole), count, rank)), *whole.shape[1:])
        shard = Parameter(torch.empty(shape, dtype=whole.dtype, device="meta"))
        if shard.numel():
            found[name] = shard
    return found


def _by_name(state: State, shards: Mapping[str, Parameter]) -> Saved:
    if "optimizers" in state:
        each = [_of_optimizer(state["optimizers"][name], {name: shard}) for name, shard in shards.items()]
        return {name: saved for one in each for name, saved in one.items()}
    return _of_optimizer(state["optimizer"], shards)


def _of_optimizer(saved: Mapping[str, Any], shards: Mapping[str, Parameter]) -> Saved:
    """The states in a `state_dict`, by piece in the parameters' order, or by parameter with matrices first."""
    if "pieces" in saved:
        left = iter(saved["pieces"])
        return {name: [next(left)["state"].get(0, {}) for _ in range(pieces(x))] for name, x in shards.items()}
    names = sorted(shards, key=lambda name: shards[name].ndim <= 1)
    return {name: [saved["state"].get(place, {})] for place, name in enumerate(names)}


def _cut(values: Values, these: slice) -> Values:
    return {name: x[these] if isinstance(x, Tensor) and x.ndim else x for name, x in values.items()}
