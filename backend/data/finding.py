"""What was found in the data: one sentence with a severity, the rows concerned, and what fixes it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Severity = Literal["stops", "warns", "notes"]
SEVERITIES: tuple[Severity, ...] = ("stops", "warns", "notes")
SHOWN_ROWS = 100
"""Most row numbers that a finding lists; `row_count` has the full count."""

OF_SFT = ("preference-data", "undesired-rows")
"""Findings that apply only to sft, which learns from the better or the good answers alone."""


@dataclass(frozen=True)
class Finding:
    """One finding. Reports, screens, `plan --json` and `fttui data --json` all show these."""

    severity: Severity
    """`stops`: training on this data would be wasted, and `train` refuses it; `warns`: look at it before you start;
    `notes`: what was chosen or assumed."""
    kind: str
    """A stable identifier in lower case with hyphens, such as `unused-columns`."""
    text: str
    """One sentence."""
    fix: str = ""
    """The option, `--set` key or edit that fixes it; empty if there is nothing to do."""
    rows: tuple[int, ...] = ()
    """The rows concerned, counted from 0 as `--row` takes them; at most SHOWN_ROWS of them."""
    row_count: int = 0
    """How many rows are concerned; 0 if the finding is about the data as a whole."""


def finding(severity: Severity, kind: str, text: str, fix: str = "", rows: Sequence[int] = ()) -> Finding:
    """A finding about `rows` (counted from 0), of which at most SHOWN_ROWS are kept."""
    return Finding(severity, kind, text, fix, tuple(rows[:SHOWN_ROWS]), len(rows))


def by_severity(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The most severe first, else in their order."""
    return tuple(sorted(findings, key=lambda found: SEVERITIES.index(found.severity)))


def count_of(rows: int) -> str:
    """A count of rows in words: `1 row`, `4,800 rows`."""
    return "1 row" if rows == 1 else f"{rows:,} rows"
