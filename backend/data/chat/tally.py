"""Counts of what happened to rows on their way to tokens. Loads no tokenizer and no template."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from backend.data.finding import SHOWN_ROWS

BEYOND_EMBEDDING = "tokens beyond the embedding"


@dataclass
class RowNumbers:
    """Rows, of which the first are kept by number (counted from 0)."""

    count: int = 0
    first: list[int] = field(default_factory=list)
    last: int = -1

    def add(self, row: int) -> None:
        """Row `row`; a row that is added twice in succession counts once."""
        if row == self.last and self.count:
            return
        self.count += 1
        self.last = row
        if len(self.first) < SHOWN_ROWS:
            self.first.append(row)


@dataclass
class Tally:
    """What happened on the way, over many rows."""

    rows: dict[str, RowNumbers] = field(default_factory=dict)
    """Kind of what was changed or is missing (constants of masking.py, tokens.py and this module) -> rows."""
    values: dict[str, str] = field(default_factory=dict)
    """Kind -> the first value found, such as a control token's text; for the kinds that have one."""
    refused_rows: RowNumbers = field(default_factory=RowNumbers)
    """Rows that the chat template does not take: they are left out, as those of BEYOND_EMBEDDING are."""
    refusal: str = ""
    """The first row that is left out: its number (counted from 1) and the reason."""
    template_refusal: str = ""
    """The same of those that the chat template does not take."""
    factor: float = 1.0
    """How many rows of the data one tallied row stands for, if they are a sample."""

    @property
    def notes(self) -> Counter[str]:
        """How many rows there are of each kind."""
        return Counter({kind: round(rows.count * self.factor) for kind, rows in self.rows.items()})

    @property
    def refused(self) -> int:
        """How many rows are left out."""
        beyond = self.rows.get(BEYOND_EMBEDDING)
        return round((self.refused_rows.count + (beyond.count if beyond else 0)) * self.factor)

    def note(self, kind: str, row: int, value: str = "") -> None:
        """Row `row`, counted from 1, is of this kind; `value` is what was found."""
        if value:
            self.values.setdefault(kind, value)
        self.rows.setdefault(kind, RowNumbers()).add(row - 1)

    def refuse(self, reason: object, row: int) -> None:
        """The template does not take row `row`, counted from 1."""
        self.refused_rows.add(row - 1)
        self.template_refusal = self.template_refusal or f"row {row}: {reason}"
        self.refusal = self.refusal or self.template_refusal
