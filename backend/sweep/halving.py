"""Successive halving: all settings train a little, the better half twice as long, until one is left."""

from __future__ import annotations

import math
from typing import NamedTuple


class Rung(NamedTuple):
    """So many settings train up to this step."""

    survivors: int
    step: int


def rungs(count: int, total: int) -> list[Rung]:
    """For `count` settings of which the last one makes `total` steps. Steps are multiples of the first rung's."""
    levels = math.ceil(math.log2(count))
    first = max(1, total >> levels)
    return [Rung(max(1, math.ceil(count / 2**at)), first << at) for at in range(levels + 1)]


def steps(count: int, total: int) -> int:
    """Optimizer steps of all settings together."""
    found, before = 0, 0
    for rung in rungs(count, total):
        found += rung.survivors * (rung.step - before)
        before = rung.step
    return found


def affordable(count: int, total: int, seconds: float, step_seconds: float, start_seconds: float) -> int:
    """The most steps, up to `total`, of the last setting with which the sweep takes at most `seconds`; 0 if none is.

    Each setting of each rung starts anew, which takes `start_seconds`.
    """
    levels = math.ceil(math.log2(count))
    for last in range(max(total >> levels, 1) << levels, 0, -(1 << levels)):
        starts = sum(rung.survivors for rung in rungs(count, last))
        if steps(count, last) * step_seconds + starts * start_seconds <= seconds:
            return last
    return 0
