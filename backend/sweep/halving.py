"""Successive halving: all settings train a little, the better half twice as long, until one is left."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple


class Rung(NamedTuple):
    """How many settings train up to which step."""

    survivors: int
    step: int


def rungs(count: int, total: int) -> list[Rung]:
    """The rungs of `count` settings, the last of which makes `total` steps. Steps are multiples of the first rung's."""
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


def starts(count: int, total: int) -> int:
    """How often a setting is started, or started again for the next rung."""
    return sum(rung.survivors for rung in rungs(count, total))


def evaluations(count: int, total: int) -> int:
    """Evaluations of all settings together: one before training, and one after each `rungs(...)[0].step` steps."""
    return count + steps(count, total) // rungs(count, total)[0].step


def affordable(count: int, total: int, seconds: float, taken: Callable[[int], float]) -> int:
    """The most steps of the last setting, up to `total`, for which the sweep takes at most `seconds`; 0 if none do.

    `taken(steps)`: seconds of a sweep whose last setting makes that many steps.
    """
    levels = math.ceil(math.log2(count))
    for last in range(max(total >> levels, 1) << levels, 0, -(1 << levels)):
        if taken(last) <= seconds:
            return last
    return 0
