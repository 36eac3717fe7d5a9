"""Findings about data as lines of a terminal and as JSON, the same in every command."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Iterable, Iterator
from typing import Any

from backend.data.finding import Finding
from tui.plain import plain

MARKS = {"stops": "STOP", "warns": "warn", "notes": "note"}
_INDENT = " " * 6


def lines(findings: Iterable[Finding], width: int) -> Iterator[str]:
    """`warn  sentence`, wrapped, with the fix below it."""
    for found in findings:
        mark = f"{MARKS[found.severity]}  "
        yield from textwrap.wrap(plain(found.text, lines=False), width, initial_indent=mark, subsequent_indent=_INDENT)
        if found.fix:
            fix = plain(found.fix, lines=False)
            yield from textwrap.wrap(
                fix, width, initial_indent=f"{_INDENT}-> ", subsequent_indent=f"{_INDENT}   ", break_on_hyphens=False
            )


def objects(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """For JSON: `severity`, `kind`, `text`, `fix`, `rows` (numbers from 0) and `row_count`."""
    return [{**dataclasses.asdict(found), "rows": list(found.rows)} for found in findings]
