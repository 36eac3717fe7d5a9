"""Findings of the rows themselves, before any tokenizer: of all of them, or of a sample of many."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from backend.data.constants import constants
from backend.data.finding import Finding, count_of, finding
from backend.data.formats import Examples
from backend.data.notes import content_findings
from backend.data.survey import Survey


def of_content(found: Examples, seen: Survey) -> Iterator[Finding]:
    """Columns, rows that are left out, copies, answers that are all the same, long documents.

    `seen` was made by going through `found`.
    """
    yield from found.findings
    common = content_findings(seen.kept, (), seen.kept_digests)
    if seen.is_whole:
        yield from common
    else:
        yield from (one for one in common if one.kind != "duplicates")
        yield from _many_duplicates(seen)
    yield from _divided(seen)


def _divided(seen: Survey) -> Iterator[Finding]:
    """Long documents are several examples each."""
    rows, pieces = np.unique(seen.rows, return_counts=True)
    long = rows[pieces > 1].tolist()
    if long:
        most = constants().passage_characters
        text = f"{count_of(len(long))} of over {most:,} characters divided into {pieces[pieces > 1].sum():,} pieces."
        yield finding("notes", "documents-divided", text, rows=long)


def _many_duplicates(seen: Survey) -> Iterator[Finding]:
    """The finding on many duplicates that notes.py reports if all examples are in memory."""
    if len(seen.repeated):
        many = len(seen.repeated) > constants().duplicate_fraction * len(seen.rows)
        text = f"{count_of(len(seen.repeated))} of {len(seen.rows):,} repeat another row"
        text += ": remove the copies, or they count double."
        rows = seen.rows[seen.repeated].tolist()
        yield finding("warns" if many else "notes", "duplicates", text, "remove the copies", rows)
