"""What `max_length` cuts off: answers that are gone whole, and the share of tokens."""

from __future__ import annotations

from backend.data.finding import Finding, Severity, count_of
from backend.data.report import DataReport

MUCH = 0.1
"""From this share of the tokens on, what is cut is a warning."""


def cut_findings(report: DataReport, max_length: int) -> list[Finding]:
    """Findings of this data under this `max_length`."""
    cut = report.cut(max_length)
    if not cut.truncated_rows:
        return []
    found = []
    left = report.rows - cut.unscored_rows
    lost = cut.unscored_rows - int((report.row_scored_tokens == 0).sum())
    if not left:
        text = f"No answer begins within {max_length:,} tokens: nothing is left to train on."
        return [Finding("stops", "answers-cut", text, _longer(report), row_count=lost)]
    if lost:
        text = f"The answer is cut off whole in {count_of(lost)} of {report.rows:,} at {max_length:,} tokens."
        found.append(Finding("warns", "answers-cut", text, _longer(report), row_count=lost))
    share = 1 - cut.tokens / max(1, report.tokens)
    are = "is" if cut.truncated_rows == 1 else "are"
    text = (
        f"{count_of(cut.truncated_rows)} {are} cut at {max_length:,} tokens: {_percent(share)} of all tokens are lost."
    )
    severity: Severity = "warns" if share >= MUCH else "notes"
    found.append(Finding(severity, "rows-cut", text, _longer(report), row_count=cut.truncated_rows))
    return found


def _longer(report: DataReport) -> str:
    return f"--max-length up to {report.percentile(100)} if the model's context and the memory allow, or shorter rows"


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.1 else f"{share:.1%}" if share >= 0.001 else "under 0.1%"
