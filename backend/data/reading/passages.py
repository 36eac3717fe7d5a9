"""Long documents divided into passages: at a paragraph, a sentence or a space, never lost."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from backend.data.constants import constants
from backend.data.conversation import Text

PARAGRAPH_END = re.compile(r"\n[ \t]*\n")
SENTENCE_END = re.compile(r"[.!?。！？]\s|\n")


def divided(text: Text) -> Iterator[Text]:
    """A document as examples of a length that trains well (presets/data.toml); the last has the document's end."""
    limit = constants().passage_characters
    if len(text.document) <= limit:
        yield text
        return
    parts = passages(PARAGRAPH_END.split(text.document.strip()), limit)
    before = next(parts, None)
    for passage in parts:
        yield Text(before or "", text.row, ends=False)
        before = passage
    if before is not None:
        yield text._replace(document=before)


def passages(paragraphs: Iterable[str], limit: int) -> Iterator[str]:
    """Paragraphs gathered into passages of at most `limit` characters; a longer paragraph is divided."""
    current = ""
    for paragraph in paragraphs:
        for piece in pieces(paragraph, limit):
            if current and len(current) + len(piece) + 2 > limit:
                yield current
                current = piece
            else:
                current = f"{current}\n\n{piece}" if current else piece
    if current:
        yield current


def pieces(paragraph: str, limit: int) -> Iterator[str]:
    """One paragraph in pieces of at most `limit` characters."""
    at, length = 0, len(paragraph)
    while length - at > limit:
        end = _border(paragraph, at, limit)
        if piece := paragraph[at:end].strip():
            yield piece
        at = end
        while at < length and paragraph[at].isspace():
            at += 1
    if piece := paragraph[at:].strip():
        yield piece


def _border(text: str, start: int, limit: int) -> int:
    """The last end of a sentence in the second half of a piece, else its last space, else its full length."""
    middle, end = start + limit // 2, start + limit
    sentences = [match.end() for match in SENTENCE_END.finditer(text, middle, end)]
    return sentences[-1] if sentences else (text.rfind(" ", middle, end) + 1 or end)
