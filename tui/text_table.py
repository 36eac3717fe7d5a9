"""Plain tables that fit the terminal: columns are as wide as their content, and long cells fold between words."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from itertools import zip_longest

from rich.cells import cell_len

GAP = 2
"""Spaces between columns."""
_LEAST = 8
"""No column is made narrower than this."""
UNLIMITED = 10_000
"""Width for a pipe: each row stays on one line, as other programs expect."""


def room() -> int:
    """Columns that standard output has: those of the terminal, or no limit for a pipe."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else UNLIMITED


def lines(rows: Sequence[Sequence[str]], width: int) -> Iterator[str]:
    """`rows` in columns, at most `width` wide."""
    wide = widths(rows, width)
    for row in rows:
        yield from folded(row, wide)


def widths(rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """The columns as wide as their longest cells; if they are too wide together, the widest are narrowed first."""
    found = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    room = width - GAP * (len(found) - 1)
    while sum(found) > room and max(found) > _LEAST:
        found[found.index(max(found))] -= 1
    return found


def folded(row: Sequence[str], wide: Sequence[int]) -> Iterator[str]:
    """One row in columns of these widths; a cell that is too long continues in the lines below it."""
    cells = [_parts(cell, width) for cell, width in zip(row, wide, strict=True)]
    for parts in zip_longest(*cells, fillvalue=""):
        filled = [part + " " * (width - cell_len(part)) for part, width in zip(parts, wide, strict=True)]
        yield (" " * GAP).join(filled).rstrip()


def _parts(cell: str, width: int) -> list[str]:
    return [cell] if cell_len(cell) <= width else textwrap.wrap(cell, width) or [""]
