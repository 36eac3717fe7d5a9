"""Plain text to rows: documents as passages of a length that trains well."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from backend.data.constants import constants
from backend.data.reading.passages import passages
from backend.data.reading.sniff import Opened, opened
from backend.data.row import GOES_ON, TEXT_COLUMN, Value


def plain_rows(file: Opened) -> Iterator[Value]:
    """Documents, as passages (presets/data.toml says how long).

    Without blank lines each line is a document. With them the file is one document, and its paragraphs are gathered
    into passages. A long document is divided, never lost.
    """
    limit = constants().passage_characters
    paragraphs = _paragraphs(file.text_lines())
    if _has_paragraphs(file):
        yield from _document(passages(paragraphs, limit))
        return
    for line in file.text_lines():
        if line := line.strip():
            yield from _document(passages([line], limit))


def _document(parts: Iterator[str]) -> Iterator[Value]:
    """All but the last passage go on in the next row."""
    before = next(parts, None)
    for passage in parts:
        yield {TEXT_COLUMN: before, GOES_ON: True}
        before = passage
    if before is not None:
        yield {TEXT_COLUMN: before}


def _has_paragraphs(file: Opened) -> bool:
    """A blank line stands between two others. Reads the file once more from its start."""
    with opened(file.path) as again:
        text, blank = False, False
        for line in again.text_lines():
            if not line.strip():
                blank = text
            elif blank:
                return True
            else:
                text = True
    return False


def _paragraphs(lines: Iterator[str]) -> Iterator[str]:
    current: list[str] = []
    for line in chain(lines, [""]):
        if line.strip():
            current.append(line)
        elif current:
            yield "".join(current).strip()
            current = []
