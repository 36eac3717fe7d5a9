"""A validation split whose rows, or near-duplicates of them, are trained on too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from backend.data.conversation import Example
from backend.data.finding import Finding, count_of
from backend.data.preflight.groups import groups
from backend.data.preflight.texts import sample


def leaks(train: Sequence[Example], validation: Sequence[Example]) -> Iterator[Finding]:
    """Copies, near-duplicates and rows that ask the same, on both sides; if rows are many, samples are compared."""
    here, there = sample(train), sample(validation)
    keys = groups([*here, *there])
    trained = set(keys[: len(here)])
    count = sum(key in trained for key in keys[len(here) :])
    if not count:
        return
    are = "is" if count == 1 else "are"
    of = f"{len(there):,} rows of the validation split" + (
        " that were compared" if len(there) < len(validation) else ""
    )
    text = (
        f"{count_of(count)} of {of} {are} trained on too, or nearly so, or ask what a training row asks: the loss "
        "would look better than it is."
    )
    fix = "remove them from one of the two splits, or leave the validation split out: rows are then held out by groups"
    yield Finding("warns", "validation-leak", text, fix, row_count=count)
