"""The data report as the JSON object of `fttui data --json`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from backend.data.browse import Shown
from backend.data.preflight.used import Used, used
from backend.data.report import DataReport
from tui import findings
from tui.plain import in_json


def encode(report: DataReport, max_length: int | None, examples: Sequence[Shown] = ()) -> str:
    """One JSON object, indented. `examples` are rows that were asked for, each with its tokens."""
    whole = as_object(report, used(report, max_length), max_length)
    if examples:
        whole["examples"] = [_example(shown) for shown in examples]
    return in_json(msgspec.json.format(msgspec.json.encode(whole), indent=2).decode())


def as_object(report: DataReport, what: Used, max_length: int | None) -> dict[str, Any]:
    """Plain dictionaries and lists."""
    return {
        "reference": report.reference,
        "format": report.format,
        "mapping": dict(report.mapping),
        "columns": list(report.columns),
        "unused_columns": list(report.unused_columns),
        "rows": report.all_rows,
        "used_rows": what.rows,
        "refused_rows": report.all_rows - what.rows,
        "tokens": what.tokens,
        "target_tokens": what.target_tokens,
        "exact": report.exact,
        "max_length": max_length,
        "truncated_rows": what.truncated_rows,
        "length_percentiles": {str(q): report.percentile(q) for q in (50, 90, 99, 100)},
        "findings": findings.objects(what.findings),
    }


def _example(shown: Shown) -> dict[str, Any]:
    return {
        "row": shown.row,
        "refused": shown.refused,
        "truncated": shown.cut,
        "text": "".join(segment.text for segment in shown.segments),
        "tokens": [{"id": token.id, "text": token.text, "target": token.target} for token in shown.tokens],
    }
