"""What `max_length` cuts off: whole answers, and the share of tokens."""

from __future__ import annotations

from backend.data.finding import Finding, Severity, count_of
from backend.data.report import DataReport

MUCH = 0.1
"""From this share of the tokens on, what is cut is a warning."""
NEARLY_ALL = 0.9
"""If more than this share of the rows loses the whole answer, training on the rest can't be intended."""


def cut_findings(report: DataReport, max_length: int) -> list[Finding]:
    """Findings of this data under this `max_length`."""
    if not report.cut(max_length).truncated_rows:
        return []
    return [*_answers(report, max_length), *_rows(report, max_length)]


def _answers(report: DataReport, max_length: int) -> list[Finding]:
    is_lost = (report.row_scored_tokens > 0) & (report.row_prompt_tokens >= max_length)
    lost = int(is_lost.sum())
    if not lost:
        return []
    text = f"The answer is cut off whole in {count_of(lost)} of {report.rows:,} at {max_length:,} tokens."
    if lost == report.rows:
        text = f"No answer begins within {max_length:,} tokens: nothing is left to train on."
    severity: Severity = "stops" if lost > NEARLY_ALL * report.rows else "warns"
    return [Finding(severity, "answers-cut", text, _longer(report), report.numbers_of(is_lost), lost)]


def _rows(report: DataReport, max_length: int) -> list[Finding]:
    cut = report.cut(max_length)
    if not cut.rows:
        return []
    share = 1 - cut.tokens / max(1, report.tokens)
    are = "is" if cut.truncated_rows == 1 else "are"
    count = count_of(cut.truncated_rows)
    text = f"{count} {are} cut at {max_length:,} tokens: {percent(share)} of all tokens are lost."
    severity: Severity = "warns" if share >= MUCH else "notes"
    rows = report.numbers_of(report.row_tokens > max_length)
    return [Finding(severity, "rows-cut", text, _longer(report), rows, cut.truncated_rows)]


def percent(share: float) -> str:
    """A share of tokens in words."""
    return f"{share:.0%}" if share >= 0.1 else f"{share:.1%}" if share >= 0.001 else "under 0.1%"


def _longer(report: DataReport) -> str:
    return f"--max-length up to {report.percentile(100)} if the model's context and the memory allow, or shorter rows"
