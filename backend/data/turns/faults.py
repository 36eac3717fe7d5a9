"""Rows that are not trained on, and why: unreadable rows are errors, others are left out on purpose."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from backend.data.finding import SHOWN_ROWS, Finding
from backend.errors import UserError

UNREADABLE_SHARE = 0.05
"""If more than this share of the rows is unreadable, it is not a slip but another format: the data is refused."""
FIRST_ROWS = 100
"""If none of so many first rows can be read, the data is refused without reading on."""

Reason = (
    Literal[
        "unreadable-rows", "empty-rows", "rows-without-question", "unscored-rows", "undesired-rows", "unmarked-rows"
    ]
    | Literal["preference-rows", "prompts-differ"]
)


class RowError(UserError):
    """One row can't be read. `str()` names row, value and fix; a few such rows are left out, many stop the run."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "data")


class LeftOut(NamedTuple):
    """A row that is not trained on."""

    reason: Reason
    number: int
    """The row's number, counted from 1."""
    text: str
    """What was found in this row."""


FINDINGS: dict[Reason, tuple[str, str]] = {
    "unreadable-rows": ("{rows} can't be read and {are} left out; {first}", "correct or remove these rows"),
    "empty-rows": (
        "{rows} without an answer or any text {are} left out; {first}",
        "remove or fill these rows",
    ),
    "rows-without-question": ("{rows} without a question {are} left out; {first}", "remove or fill these rows"),
    "unscored-rows": (
        "{rows} {are} left out since no answer in {them} is to be trained on; {first}",
        "remove these rows, or their marks",
    ),
    "undesired-rows": (
        "{rows} marked as undesired {are} left out; {first}",
        "--set objective=kto to learn from both kinds, or remove the column to train on them too",
    ),
    "preference-rows": (
        "{rows} without two different answers {are} left out; {first}",
        "give each row two different answers",
    ),
    "prompts-differ": (
        "{rows} whose two answers are to different prompts {are} left out; {first}",
        "give both answers of a row the same turns before them",
    ),
    "unmarked-rows": (
        "{rows} that no mark calls good or bad {are} left out; {first}",
        "write true or false, or remove these rows",
    ),
}


@dataclass
class LeftOuts:
    """Counts rows that are left out while they pass by, in bounded memory."""

    counts: Counter[Reason] = field(default_factory=Counter)
    first: dict[Reason, LeftOut] = field(default_factory=dict)
    rows: dict[Reason, list[int]] = field(default_factory=dict)
    """Their first SHOWN_ROWS row numbers, counted from 0."""

    def add(self, row: LeftOut) -> None:
        """Count one. UserError if all of the FIRST_ROWS first rows are unreadable."""
        self.counts[row.reason] += 1
        self.first.setdefault(row.reason, row)
        shown = self.rows.setdefault(row.reason, [])
        if len(shown) < SHOWN_ROWS:
            shown.append(row.number - 1)
        if row.reason == "unreadable-rows" and row.number == self.counts[row.reason] == FIRST_ROWS:
            raise UserError(f"{self.first[row.reason].text} (none of the first {FIRST_ROWS} rows can be read)", "data")

    def check(self, total: int) -> None:
        """UserError (field `data`) if more than UNREADABLE_SHARE of all rows are unreadable."""
        unreadable = self.counts["unreadable-rows"]
        if unreadable > UNREADABLE_SHARE * total:
            many = f" ({unreadable:,} of {total:,} rows can't be read)" if unreadable > 1 else ""
            raise UserError(self.first["unreadable-rows"].text + many, "data")

    def findings(self) -> tuple[Finding, ...]:
        """One warning for each reason that occurred."""
        return tuple(self._finding(reason) for reason in FINDINGS if self.counts[reason])

    def _finding(self, reason: Reason) -> Finding:
        text, fix = FINDINGS[reason]
        count = self.counts[reason]
        one = count == 1
        words = {"rows": "1 row" if one else f"{count:,} rows", "are": "is" if one else "are"}
        said = text.format(**words, them="it" if one else "them", first=self.first[reason].text)
        return Finding("warns", reason, said + ".", fix, tuple(self.rows[reason]), count)

    @property
    def total(self) -> int:
        """All rows that were left out."""
        return self.counts.total()
