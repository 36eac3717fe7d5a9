"""How large a micro-batch and a length still fit: a small sweep of the memory formulas around a method's plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from backend import constants
from backend.answers import Method
from backend.data.report import DataReport
from backend.plan.preset import Preset
from backend.planner import fit, rules
from backend.planner.estimates import Comparison, Fit

BATCHES = (1, 2, 4, 8, 16, 32)
LENGTHS = (512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072)
_UNIT = 128
"""The longest length that fits is found to a multiple of this, as sequences are filled up to one."""
_MOST_BATCH = 1024
_ROWS = 64
_SLOWER = ("checkpointing", "activation_offload")
"""Settings that save memory and take time."""


class Cell(NamedTuple):
    """A micro-batch of sequences of one length."""

    peak_bytes: int
    fit: Fit
    slower: bool
    """It needs activations to be recomputed or kept in host memory, unlike the plan."""


@dataclass(frozen=True)
class Sizes:
    """What fits around one plan. `fits` leaves the reserve free that the planner always leaves."""

    cells: Mapping[tuple[int, int], Cell]
    """(micro-batch, length) -> its cell."""
    batches: tuple[int, ...]
    lengths: tuple[int, ...]
    at: tuple[int, int]
    """The plan's own micro-batch and length of a sequence."""
    most_rows: int
    """The largest micro-batch that fits at the plan's length; 0 if none does."""
    longest: int
    """The longest sequence of which one fits, in tokens; 0 if none does."""
    is_context: bool
    """`longest` is the model's context: the memory would hold more."""
    room_bytes: int
    reserve_bytes: int
    """What a plan that fits leaves free."""


def sizes(comparison: Comparison, method: Method, preset: Preset | None = None) -> Sizes:
    """The sweep for one method of a comparison, as if rows were as long as each length.

    Each cell is what the planner says if these two are set; what the user or `preset` has set stays.
    """
    device, context = comparison.device, comparison.model.shape.context or LENGTHS[-1]
    plan, room = comparison.methods[method].plan, fit.available(device)
    pinned, data = rules.pin(comparison.answers, preset), _long(comparison.data, context)
    at = (plan.micro_batch, min(plan.max_length, context))
    lengths = tuple(sorted({x for x in LENGTHS if x <= context} | {at[1]}))
    batches = tuple(sorted({*BATCHES, at[0]}))

    def cell(batch: int, length: int) -> Cell:
        set_so = rules.Pinned({**pinned.values, "micro_batch": batch}, pinned.origin)
        wanted = replace(plan, micro_batch=batch, max_length=length)
        chosen = fit.choose(wanted, comparison.model, device, data, set_so)
        slower = any(getattr(chosen.plan, name) and not getattr(plan, name) for name in _SLOWER)
        return Cell(chosen.memory.peak_bytes, fit.verdict(chosen.memory, device), slower)

    longest = _most(lambda units: cell(1, units * _UNIT).fit == "fits", context // _UNIT) * _UNIT
    longest = context if longest + _UNIT > context and cell(1, context).fit == "fits" else longest
    return Sizes(
        cells={(batch, length): cell(batch, length) for length in lengths for batch in batches},
        batches=batches,
        lengths=lengths,
        at=at,
        most_rows=_most(lambda batch: cell(batch, at[1]).fit == "fits", _MOST_BATCH),
        longest=longest,
        is_context=longest == context,
        room_bytes=room,
        reserve_bytes=round((1 - constants.methods().choice.tight_fraction) * room),
    )


def _long(data: DataReport, tokens: int) -> DataReport:
    """Rows that fill a sequence of any length; the share of targets is the data's own."""
    rows = np.full(_ROWS, tokens, dtype=np.int64)
    scored = np.full(_ROWS, max(1, round(tokens * data.scored_share)), dtype=np.int64)
    return replace(data, row_tokens=rows, row_scored_tokens=scored, row_prompt_tokens=rows - scored)


def _most(fits: Callable[[int], bool], most: int) -> int:
    """The largest number up to `most` that fits, by doubling and bisection: memory grows with it; 0 if none does."""
    if most < 1 or not fits(1):
        return 0
    low, high = 1, 2
    while high <= most and fits(high):
        low, high = high, high * 2
    high = min(high, most + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
