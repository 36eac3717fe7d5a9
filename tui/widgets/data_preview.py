"""The data report as a panel: counts, findings with their fixes, lengths, and the first row as the model sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from backend import units
from backend.data.histogram import histogram
from backend.data.preflight.used import used
from tui.findings import in_wizard
from tui.plain import plain, safe
from tui.widgets import row_view
from tui.widgets.preview import Fact, facts
from tui.widgets.prose import sentences, stacked, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from backend.data.finding import Finding, Severity
    from backend.data.report import DataReport

LENGTHS = (256, 512, 1024, 2048, 4096, 8192, 16384, 32768)
"""Lengths for which the share of cut rows is shown."""
_PREVIEW_CHARACTERS = 4000
BARS = 8
_WIDE = 100
"""Columns from which there are twice as many bars, twice as long."""
SIGNS: dict[Severity, tuple[str, str]] = {
    "stops": ("✗", "$error"),
    "warns": ("!", "$warning"),
    "notes": ("·", "$foreground"),
}


def preview(report: DataReport, width: int, note: str = "", max_length: int | None = None) -> Content:
    """The whole panel, for `width` columns; `max_length` is where rows will be cut, if that is known."""
    what = used(report, max_length)
    parts = [
        sentences([note] if note else [], width, "…", "$warning"),
        facts(_rows(report), width, 11),
        found(what.findings, width),
    ]
    if report.format != "none":
        parts += [_rule("row lengths in tokens", width), lengths(report, max_length, width)]
    if report.preview:
        parts.append(_rule("first row, as the model sees it", width))
        parts += [wrapped(row_view.text(report.preview, _PREVIEW_CHARACTERS), width), wrapped(row_view.legend(), width)]
    return stacked(parts)


def _rows(report: DataReport) -> list[Fact]:
    tokens = units.count(report.tokens)
    about = "" if report.exact else "about "
    share = f", {units.count(report.scored_tokens)} targets" if report.format != "none" else ""
    rows: list[Fact] = []
    if report.format != "none":
        columns = ", ".join(plain(column, lines=False) for column in report.columns)
        rows += [("format", f"{report.format}{f', of columns {columns}' if columns else ''}")]
    rows += [("tokens", f"{about}{tokens}{share}"), ("row length", _lengths(report)), ("cut at", _cuts(report))]
    left_out = [f"{report.refused_rows:,} are not used"] if report.refused_rows else []
    left_out += [f"{report.duplicate_rows:,} are duplicates"] if report.duplicate_rows else []
    if report.format != "none":
        rows += [("rows", ", ".join(left_out) or "all are used, no duplicates")]
    return rows


def _lengths(report: DataReport) -> str:
    if report.percentile(100) == report.percentile(0):
        return f"{report.percentile(100):,} tokens each"
    middle, most, longest = (f"{report.percentile(q):,}" for q in (50, 95, 100))
    return f"median {middle} · 95 % up to {most} · longest {longest}"


def _cuts(report: DataReport) -> str:
    """Which share of the rows the usual lengths cut, up to the first that cuts none."""
    parts = []
    longest = report.percentile(100)
    for length in LENGTHS:
        if length >= longest:
            parts.append(f"{length:,}: no rows")
            break
        share = report.cut(length).truncated_rows / max(1, report.rows)
        if share < 0.6:
            parts.append(f"{length:,}: {100 * share:.1f} %" if share < 0.1 else f"{length:,}: {100 * share:.0f} %")
    return " · ".join(parts[-3:])


def found(findings: Iterable[Finding], width: int) -> Content:
    """Each finding with the sign of its severity, and its fix below."""
    return Content("\n").join(line for one in findings for line in _finding(one, width))


def _finding(one: Finding, width: int) -> Iterator[Content]:
    sign, style = SIGNS[one.severity]
    yield sentences([one.text], width, sign, style)
    if one.fix:
        yield wrapped(
            Content.assemble("  ", ("→ ", "bold $faint"), safe(in_wizard(one.fix), lines=False, style="$faint")),
            width,
            4,
        )


def lengths(report: DataReport, max_length: int | None, width: int) -> Content:
    """A bar for each range of lengths, and a line where rows are cut."""
    bars = histogram(report, BARS if width < _WIDE else 2 * BARS, max_length)
    most = max((bar.rows for bar in bars), default=1)
    label = max((len(f"{bar.low:,}-{bar.high:,}") for bar in bars), default=0)
    room = max(8, min(40 if width < _WIDE else 80, width - label - 10))
    lines = []
    waits = max_length is not None
    for bar in bars:
        if waits and max_length is not None and bar.low > max_length:
            lines.append(_cut_line(max_length, width))
            waits = False
        cells = max(1, round(room * bar.rows / most)) if bar.rows else 0
        style = "$warning" if max_length is not None and bar.low > max_length else "$primary"
        lines.append(
            Content.assemble(
                (f"{f'{bar.low:,}-{bar.high:,}':>{label}} ", "$faint"), ("█" * cells, style), f" {bar.rows:,}"
            )
        )
    return Content("\n").join(lines)


def _cut_line(max_length: int, width: int) -> Content:
    return Content.styled(f"╌╌ cut at {max_length:,} tokens ".ljust(width, "╌")[:width], "$warning")


def _rule(title: str, width: int) -> Content:
    return Content.styled(f"── {title} ".ljust(width, "─")[:width], "$faint")
