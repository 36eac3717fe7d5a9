"""The settings that a sweep tries: every combination of the values that the user lists."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from backend.errors import UserError
from backend.plan import fields

_OF_ADAPTERS = ("rank", "alpha", "dropout", "target_modules")
_WHY = dict.fromkeys(
    ("max_steps", "epochs", "eval_every", "save_every"), "the sweep chooses it, so that all settings train equally long"
)
OWN = ("eval_every", "save_every")
"""Plan fields that the sweep sets, whatever was asked for."""
_OTHER_LOSS = "the held-out losses would not be of the same rows and tokens"
NOT_COMPARABLE = frozenset(_WHY) | {
    *(
        "eval_fraction",
        "seed",
        "max_length",
        "objective",
        "preference_beta",
        "train_on_turns",
        "special_tokens_in_data",
    ),
}
"""Plan fields whose values can't be compared by held-out loss after the same number of steps."""
MOST = 64
"""Combinations of one sweep."""


def parse(texts: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    """`key=one,two` texts as plan fields and their values. Raises UserError that names what is wrong."""
    grid: dict[str, tuple[Any, ...]] = {}
    for text in texts:
        key, equals, listed = text.partition("=")
        if not equals:
            raise UserError(f"--grid takes key=value,value, not {text!r}", "grid")
        key = key.strip()
        if key in grid:
            raise UserError(f"grid: {key} is given twice; list all its values in one --grid {key}=A,B", "grid")
        if key in NOT_COMPARABLE:
            fix = "leave it out" if key in OWN else "set it with --set"
            raise UserError(f"grid: {key} can't be varied: {_WHY.get(key, _OTHER_LOSS)}; {fix}", "grid")
        values = tuple(fields.parse(key, value) for value in listed.split(",") if value.strip())
        if len(set(values)) < 2:
            raise UserError(f"grid: {key} needs two values or more, such as {key}=A,B; one is --set {key}=A", "grid")
        grid[key] = tuple(dict.fromkeys(values))
    return grid


def combinations(grid: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """All of them, in the order of the lists; LoRA's settings are not varied for full fine-tuning."""
    if not grid:
        raise UserError("a sweep needs settings to try: --grid key=value,value (repeatable)", "grid")
    found: list[dict[str, Any]] = []
    for values in itertools.product(*grid.values()):
        one = dict(zip(grid, values, strict=True))
        if one.get("method") == "full":
            one = {key: value for key, value in one.items() if key not in _OF_ADAPTERS}
        if one not in found:
            found.append(one)
    if not 2 <= len(found) <= MOST:
        raise UserError(f"grid: {len(found)} combinations; a sweep takes 2 to {MOST}", "grid")
    return found


def words(settings: Mapping[str, Any]) -> str:
    """`rank=8 learning_rate=0.0001`."""
    return " ".join(f"{key}={fields.text(value)}" for key, value in settings.items())
