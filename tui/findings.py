"""Findings about data as lines of a terminal and as JSON, the same in every command."""

from __future__ import annotations

import dataclasses
import re
import textwrap
from collections.abc import Iterable, Iterator
from typing import Any

from backend.data.finding import Finding
from tui.plain import plain

_OPTIONS = (
    (re.compile(r"--set (\w+)=(\S*\w)"), r"\1 = \2 (review step)"),
    (re.compile(r"--(max|effective)-(length|batch)"), r"\1_\2 (review step)"),
    (re.compile(r"--mapping"), "the line for columns"),
    (re.compile(r"--data (\S+)"), r"\1"),
)
"""The commands' options, and the names that the wizard has for them."""
_MAPPED = r"--mapping ('[^']*'|\S+=\S*[^\s.,;])"
_ALL_MAPPED = re.compile(rf"{_MAPPED}(?: {_MAPPED})*")
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


def in_wizard(text: str) -> str:
    """`text` with the wizard's names in place of the commands' options."""
    text = _ALL_MAPPED.sub(_columns, text)
    for option, asked in _OPTIONS:
        text = option.sub(asked, text)
    return text


def _columns(mapped: re.Match[str]) -> str:
    """As the line for columns takes them: without the shell's quotes, a comma between them."""
    return f"{', '.join(each.strip(chr(39)) for each in re.findall(_MAPPED, mapped[0]))} (in columns)"


def objects(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """For JSON: `severity`, `kind`, `text`, `fix`, `rows` (numbers from 0) and `row_count`."""
    return [{**dataclasses.asdict(found), "rows": list(found.rows)} for found in findings]
