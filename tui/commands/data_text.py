"""The data report and single rows as plain text, at most 80 columns wide."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator

from rich.cells import cell_len, set_cell_size

from backend import units
from backend.data.browse import Shown
from backend.data.histogram import histogram
from backend.data.preflight.used import used
from backend.data.report import DataReport
from tui import findings
from tui.plain import plain

LABEL, WIDTH, BAR = 12, 78, 40
OPEN, CLOSE = "\u27e6", "\u27e7"
"""Brackets around the target tokens."""


def report(seen: DataReport, max_length: int | None) -> str:
    """The report: how the data is read, what is used of it, its lengths, and what was found."""
    what = used(seen, max_length)
    about = "" if seen.exact else "about "
    refused = seen.all_rows - what.rows
    kept = f"{seen.all_rows:,}, {what.rows:,} used" + (f", {refused:,} not" if refused else "")
    mapping = ", ".join(f"{role}={column}" for role, column in seen.mapping.items())
    facts = [
        ("data", seen.reference),
        ("rows", kept),
        ("format", seen.format + (f", {mapping}" if mapping else "")),
        ("unused", ", ".join(seen.unused_columns)),
        ("tokens", f"{about}{units.count(what.tokens)}, {units.count(what.target_tokens)} of them targets of the loss"),
    ]
    lines = [line for label, text in facts if text for line in _fact(label, text)]
    lines += _lengths(seen, max_length)
    found = list(findings.lines(what.findings, WIDTH))
    return "\n".join([*lines, "", *(found or ["nothing was found that would waste a run"])])


def row(shown: Shown) -> str:
    """One row as the model sees it, targets between brackets (and in colour on a terminal)."""
    from rich.console import Console
    from rich.text import Text

    text = Text()
    for segment in shown.segments:
        words = plain(segment.text)
        text.append(f"{OPEN}{words}{CLOSE}" if segment.scored else words, "bold green" if segment.scored else "")
    console = Console(width=WIDTH, highlight=False, markup=False, emoji=False)
    with console.capture() as capture:
        console.print(text, end="")
    return "\n".join([*_head(shown), capture.get()])


def tokens(shown: Shown) -> str:
    """One row token by token: the id, whether it is a target, the text."""
    if not shown.tokens:
        return row(shown)
    lines = [f"{'id':>8}  {'':6}  text"]
    for token in shown.tokens:
        line = f"{token.id:>8}  {'target' if token.target else '':6}  {plain(token.text, lines=False) or '…'}"
        lines.append(line if cell_len(line) <= WIDTH else set_cell_size(line, WIDTH - 1) + "…")
    return "\n".join([*_head(shown), *lines])


def _head(shown: Shown) -> Iterator[str]:
    targets = sum(token.target for token in shown.tokens)
    size = f"{units.counted(len(shown.tokens), 'token')}, {targets:,} of them targets" if shown.tokens else ""
    cut = "cut here" if shown.cut else ""
    what = ", ".join(x for x in (size, cut) if x)
    yield f"row {shown.row} (counted from 0)" + (f": {what}" if what else "")
    if shown.refused:
        yield from textwrap.wrap(plain(f"not used: {shown.refused}", lines=False), WIDTH)
    elif any(segment.scored for segment in shown.segments):
        yield f"{OPEN} {CLOSE} is what the model learns to write"


def _fact(label: str, text: str) -> list[str]:
    filled = plain(text, lines=False)
    return textwrap.wrap(filled, WIDTH, initial_indent=f"{label:{LABEL}}", subsequent_indent=" " * LABEL)


def _lengths(seen: DataReport, max_length: int | None) -> Iterator[str]:
    """A bar for each range of lengths, with a line below the one that `max_length` falls in."""
    bars = histogram(seen, cut=max_length)
    most = max((bar.rows for bar in bars), default=1)
    label, drawn = "lengths", max_length is None
    full, half = ("█", "▌") if _has_blocks() else ("#", ":")
    for bar in bars:
        if not drawn and max_length is not None and bar.low > max_length:
            yield _cut_line(max_length)
            drawn = True
        length = 2 * BAR * bar.rows / most
        line = full * int(length // 2) + half * (round(length) % 2 if length >= 0.5 else bool(bar.rows))
        yield f"{label:{LABEL}}{f'{bar.low:,}-{bar.high:,}':>15} {line} {bar.rows:,}".rstrip()
        label = ""


def _cut_line(max_length: int) -> str:
    return f"{'':{LABEL}}{f'cut at {max_length:,} ':->{15}}{'-' * BAR}"


def _has_blocks() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf")
