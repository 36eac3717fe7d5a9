"""Rows that are almost copies of another row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from backend.data.constants import constants
from backend.data.conversation import Example, digest
from backend.data.finding import Finding, count_of, finding
from backend.data.preflight.near import near_pairs
from backend.data.preflight.texts import among, said, sample


def near_duplicates(examples: Sequence[Example]) -> Iterator[Finding]:
    """Exact copies are left out: they are a finding of their own."""
    sampled = sample(examples)
    looked_at = _distinct(sampled)
    first: dict[int, int] = {}
    for later, earlier in near_pairs([said(example) for example in looked_at]):
        row, other = looked_at[later].row, looked_at[earlier].row
        if row != other:  # pieces of one document may be alike
            first.setdefault(row, other)
    if not first:
        return
    one, other = next(iter(first.items()))
    verb = "is" if len(first) == 1 else "are"
    text = (
        f"{count_of(len(first))}{among(len(sampled), len(examples))} {verb} almost a copy of another row, such as "
        f"row {one} of row {other}: they are learned more often than others."
    )
    many = len(first) > constants().duplicate_fraction * len(looked_at)
    yield finding(
        "warns" if many else "notes", "near-duplicates", text, "keep one row of each kind", [row - 1 for row in first]
    )


def _distinct(examples: Sequence[Example]) -> list[Example]:
    return list({digest(example): example for example in reversed(examples)}.values())[::-1]
