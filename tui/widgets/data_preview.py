"""The data report as a panel: counts, lengths, what a cut costs, problems, and the first row as the model sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from backend import units
from tui.plain import plain
from tui.widgets.preview import Fact, facts
from tui.widgets.prose import sentences, stacked, wrapped

if TYPE_CHECKING:
    from backend.data.report import DataReport, Segment

LENGTHS = (256, 512, 1024, 2048, 4096, 8192, 16384, 32768)
"""Lengths that a cut is shown for."""
_PREVIEW_CHARACTERS = 4000


def preview(report: DataReport, width: int, note: str = "") -> Content:
    """The whole panel, for `width` columns."""
    parts = [
        sentences([note] if note else [], width, "…", "$warning"),
        facts(_rows(report), width, 11),
        sentences(report.problems, width, "!", "$warning"),
    ]
    if report.preview:
        parts += [_rule("first row, as the model sees it", width), wrapped(first_row(report.preview), width)]
    return stacked(parts)


def _rows(report: DataReport) -> list[Fact]:
    tokens = units.count(report.tokens)
    about = "" if report.exact else "about "
    share = f", {units.count(report.scored_tokens)} scored" if report.format != "none" else ""
    rows: list[Fact] = []
    if report.format != "none":
        columns = ", ".join(plain(column, lines=False) for column in report.columns)
        rows += [("format", f"{report.format}{f', of columns {columns}' if columns else ''}")]
    rows += [("tokens", f"{about}{tokens}{share}"), ("row length", _lengths(report)), ("cut off", _cuts(report))]
    dirt = [f"{report.empty_rows:,} empty rows"] if report.empty_rows else []
    dirt += [f"{report.duplicate_rows:,} duplicate rows"] if report.duplicate_rows else []
    if report.format != "none":
        rows += [("unclean", ", ".join(dirt) or "no empty rows, no duplicates")]
    return rows


def _lengths(report: DataReport) -> str:
    if report.percentile(100) == report.percentile(0):
        return f"{report.percentile(100):,} tokens each"
    marks = [f"{report.percentile(q):,} ({name})" for q, name in ((50, "half"), (95, "95 %"), (100, "all"))]
    return " · ".join(marks)


def _cuts(report: DataReport) -> str:
    """Which share of the rows the usual lengths cut, up to the first that cuts none."""
    parts = []
    longest = report.percentile(100)
    for length in LENGTHS:
        if length >= longest:
            parts.append(f"{length:,} none")
            break
        share = report.cut(length).truncated_rows / max(1, report.rows)
        if share < 0.6:
            parts.append(f"{length:,} {100 * share:.1f} %" if share < 0.1 else f"{length:,} {100 * share:.0f} %")
    return " · ".join(parts[-3:])


def first_row(segments: tuple[Segment, ...]) -> Content:
    """The row with its scored tokens marked by brackets and underline, beside the colour."""
    pieces: list[Content] = []
    room = _PREVIEW_CHARACTERS
    for segment in segments:
        text = plain(segment.text, limit=room)
        room = max(0, room - len(text))
        if not segment.scored:
            pieces.append(Content.styled(text, "$faint"))
            continue
        pieces.append(Content.assemble(("⟦", "bold $success"), (text, "underline $success"), ("⟧", "bold $success")))
        if not room:
            break
    pieces.append(
        Content.assemble("\n", ("⟦ ⟧", "bold $success"), (" is scored: the loss counts these tokens only", "$faint"))
    )
    return Content("").join(pieces)


def _rule(title: str, width: int) -> Content:
    return Content.styled(f"── {title} ".ljust(width, "─")[:width], "$faint")
