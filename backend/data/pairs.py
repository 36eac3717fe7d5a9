"""Pairs of a better and a worse answer to one prompt, as the plan counts them and the run reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from backend.data import objectives
from backend.data.formats import Examples, examples_of, read_as
from backend.data.reading.load import Source
from backend.data.tokenizing import Tokenizing
from backend.data.turns.faults import Reason
from backend.errors import UserError

_NO_PAIRS: tuple[Reason, ...] = ("prompts-differ", "preference-rows")


class Learned(NamedTuple):
    """What an objective learns from."""

    rows: Examples
    """dpo: with their better answers."""
    how: Tokenizing
    possible: tuple[str, ...]
    """The objectives that the data has rows for."""
    worse: Examples | None = None
    """dpo: the same rows, and those that are no pairs, with their worse answers."""


def learned_from(source: Source, mapping: Sequence[str], objective: str, how: Tokenizing) -> Learned:
    """The rows that `objective` learns from, and how they become tokens.

    kto also learns from answers that are marked as bad, dpo only from pairs, and both only from the last answer of a
    conversation. An objective for which the data has no rows is read as sft.
    """
    found = examples_of(source, mapping)
    possible = objectives.of(found.layout)
    if objective == "sft" or objective not in possible:
        return Learned(found, how, possible)
    how = replace(how, train_on_turns="last")
    if objective == "kto":
        return Learned(read_as(found, found.layout.mapping, found.layout.verdict), how, possible)
    better, worse = pairs_of(source, mapping)
    return Learned(better, how, possible, worse)


def pairs_of(source: Source, mapping: Sequence[str]) -> tuple[Examples, Examples]:
    """The rows that are pairs, with their better answers; and all rows with their worse answers.

    Raises UserError (field `objective`) if the data has no columns for pairs, or no row is a pair.
    """
    found = _better(source, mapping)
    pair = found.layout.preference
    assert pair is not None
    worse = {role: pair[1] if x == pair[0] else x for role, x in found.layout.mapping.items()}
    better = read_as(found, found.layout.mapping, worse=replace(found.layout, mapping=worse, verdict="", others=()))
    if all(isinstance(example, int) for example in better):
        left = better.passed.left
        lacks = "two answers to the same prompt" if left.counts["prompts-differ"] else "two different answers"
        first = next((x.text for reason in _NO_PAIRS if (x := left.first.get(reason))), "")
        why = f" ({first})" if first else ""
        raise UserError(f"objective: no row of {source.reference} has {lacks}{why}; use sft", "objective")
    return better, read_as(found, worse)


def _better(source: Source, mapping: Sequence[str]) -> Examples:
    """The rows with their better answers."""
    found = examples_of(source, mapping)
    objectives.refuse("dpo", source.reference, objectives.of(found.layout))
    pair = found.layout.preference
    assert pair is not None
    if pair[0] in found.layout.mapping.values():
        return found
    role = "messages" if "messages" in found.layout.mapping else "completion"
    return examples_of(source, (*mapping, f"{role}={pair[0]}"))
