"""The data under one `max_length`: what is used of it, and everything that was found."""

from __future__ import annotations

from dataclasses import dataclass

from backend.data.finding import Finding, by_severity
from backend.data.preflight.cuts import cut_findings
from backend.data.report import DataReport


@dataclass(frozen=True)
class Used:
    """What a run with this `max_length` uses."""

    rows: int
    """Rows with a target token left."""
    tokens: int
    target_tokens: int
    truncated_rows: int
    findings: tuple[Finding, ...]
    """Findings of the report and of the cut, the most severe first."""


def used(report: DataReport, max_length: int | None) -> Used:
    """What is used of the data; all that can be with `max_length` None."""
    if max_length is None:
        return Used(report.used_rows, report.tokens, report.scored_tokens, 0, report.findings)
    cut = report.cut(max_length)
    lost = cut.unscored_rows - int((report.row_scored_tokens == 0).sum())
    found = by_severity([*report.findings, *cut_findings(report, max_length)])
    return Used(report.used_rows - lost, cut.tokens, cut.scored_tokens, cut.truncated_rows, found)
