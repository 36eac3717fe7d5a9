"""Columns that may say which rows are bad: ratings, marks, and words such as good and bad."""

from __future__ import annotations

from collections.abc import Iterator

from backend.data.finding import Finding, finding
from backend.data.layout.head import Head, holds
from backend.data.layout.kinds import Layout
from backend.data.layout.names import (
    BAD_WORDS,
    CUT_OFF,
    DEFECTS,
    ENDINGS,
    GOOD_MARKS,
    LABELS,
    LOSERS,
    MARKS,
    QUALITY,
    RATINGS,
    SPLITS,
    WEIGHTS,
    WINNERS,
    words,
)
from backend.data.split_names import OTHER, TRAIN

MOST_CLASSES, LONGEST_CLASS = 10, 30
CHOICES = "abcdefgh"
"""Letters of multiple-choice answers: a column of them says which choice is right, not whether a row is good."""
TRAINED_ON = "they are trained on."
"""What becomes of rows without a mark, unless the objective needs one."""
TRUE = ("true", "1", "1.0")
FALSE = ("false", "0", "0.0")
MINUS = ("-1", "-1.0")
"""Bad beside 1, if no 0 stands between them."""


def quality(head: Head, layout: Layout) -> Iterator[Finding]:
    """Columns that may say which rows are bad."""
    if layout.verdict and (silent := [at for at, x in enumerate(head[layout.verdict].cells) if not holds(x)]):
        text = (
            f"Column {layout.verdict!r} does not say whether rows are good, such as row {silent[0] + 1}; {TRAINED_ON}"
        )
        yield finding("warns", "marked-rows", text, "fill it, or remove these rows", silent)
    compared = {*WINNERS, *LOSERS, "language", "lang"}
    for column in layout.unused:
        parts = set(words(column))
        is_rating = head.shape(column) == "number" and parts & set(RATINGS) and not parts & compared
        values = [float(x) for x in head[column].values] if is_rating else []
        if len(set(values)) > 1:
            text = f"Column {column!r} rates the rows ({min(values):g} to {max(values):g})"
            text += ", and all are trained on alike."
            yield finding("warns", "rated-rows", text, f"leave out rows with a low {column}")
        elif is_class_of_quality(head, column):
            seen = ", ".join(sorted({str(x) for x in head[column].values}))
            text = f"Column {column!r} marks the rows ({seen}), and all are trained on alike."
            yield finding("warns", "marked-rows", text, f"leave out rows with a bad {column}")
        elif tests := _of_other_splits(head, column):
            named = ", ".join(sorted({repr(str(head[column].cells[at])) for at in tests}))
            text = f"Column {column!r} says that rows belong to {named}, and they are trained on alike."
            yield finding("warns", "rows-of-another-split", text, f"write rows of each {column} to a file", tests)
        elif cut := _cut_off(head, column):
            text = f"Column {column!r} says of answers that they were cut off ({head[column].cells[cut[0]]}): "
            text += "they are trained on alike."
            yield finding("warns", "marked-rows", text, "leave out these rows, or generate them with more tokens", cut)
        elif bad := _defects(head, column):
            text = f"Column {column!r} marks rows as {head[column].cells[bad[0]]}, and they are trained on alike."
            yield finding("warns", "marked-rows", text, f"leave out rows that {column} marks", bad)
        elif head.shape(column) in ("truth", "number") and column.lower() in (*QUALITY, *GOOD_MARKS, *MARKS, *WEIGHTS):
            words_of = {str(x).strip().lower() for x in head[column].values}
            bad_words = MINUS if words_of <= {*TRUE, *MINUS} else FALSE
            false = [at for at, x in enumerate(head[column].cells) if str(x).strip().lower() in bad_words]
            if false and (words_of <= {*TRUE, *bad_words} or column.lower() in WEIGHTS):
                text = f"Column {column!r} marks rows as {head[column].cells[false[0]]}, and they are trained on alike."
                yield finding("warns", "marked-rows", text, f"leave out rows that {column} marks", false)


def _defects(head: Head, column: str) -> list[int]:
    """Rows that a column of defects marks; none if it marks all."""
    if column.lower() not in DEFECTS or head.shape(column) not in ("truth", "number"):
        return []
    bad = [at for at, x in enumerate(head[column].cells) if str(x).strip().lower() in TRUE]
    return bad if len(bad) < len(head[column].cells) else []


def _cut_off(head: Head, column: str) -> list[int]:
    """Rows whose answer ended since no more tokens were allowed, by the reason that was kept with it."""
    if column.lower() not in ENDINGS or head.shape(column) != "text":
        return []
    return [at for at, x in enumerate(head[column].cells) if str(x).strip().lower() in CUT_OFF]


def _of_other_splits(head: Head, column: str) -> list[int]:
    """Rows that a column of splits gives to testing or validation, if it gives others to training."""
    if column.lower() not in SPLITS or head.shape(column) != "text":
        return []
    said = [str(x or "") for x in head[column].cells]
    return [at for at, x in enumerate(said) if OTHER.search(x)] if any(map(TRAIN.search, said)) else []


def is_class_of_quality(head: Head, column: str) -> bool:
    """A few words such as good and bad, in a column whose name says that they rate the row."""
    if head.shape(column) != "text" or column.lower() in LABELS[3:] or head[column].mean > LONGEST_CLASS:
        return False
    words_of = {x for x in head[column].values if isinstance(x, str)}
    if {x.strip().lower() for x in words_of} <= set(CHOICES) and {*RATINGS}.isdisjoint(words(column)):
        return False
    rates = column.lower() in MARKS or not {*RATINGS, *QUALITY}.isdisjoint(words(column))
    rates = rates or any(x.strip().lower() in BAD_WORDS for x in words_of)
    return rates and 2 <= len(words_of) <= MOST_CLASSES
