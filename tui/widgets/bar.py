"""Memory as one stacked bar against the card's line: a glyph and a colour a category."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from textual.content import Content

from tui.theme import CARD_LINE, MEMORY

_OVERFLOW = "▶"
Piece = tuple[str, str]


def scale_for(card_bytes: int, peaks: Iterable[int]) -> int:
    """Bytes of a whole bar: the card and a little beyond it, so that all bars of a screen share one scale.

    A peak further out than that runs off the end, and is marked there.
    """
    most = max(peaks, default=0)
    return int(max(card_bytes * 1.04, min(most, card_bytes * 1.15))) or 1


def cells(by_category: Mapping[str, int], width: int, scale: int) -> list[str]:
    """The category of each filled cell, in stacking order. Rounding is of the sum, so that no error adds up."""
    filled: list[str] = []
    total = 0
    for category in _in_order(by_category):
        total += by_category[category]
        filled += [category] * (min(width, round(total / scale * width)) - len(filled))
    return filled


def stacked(by_category: Mapping[str, int], width: int, scale: int, card_bytes: int) -> Content:
    """`███▓▓▒░     ┊ ` in `width` cells."""
    filled = cells(by_category, width, scale)
    pieces: list[Piece] = [(MEMORY[category].glyph, MEMORY[category].variable) for category in filled]
    pieces += [(" ", "")] * (width - len(filled))
    if sum(by_category.values()) > scale:
        pieces[-1] = (_OVERFLOW, "bold $error")
    line = min(width - 1, round(card_bytes / scale * width))
    if pieces[line][0] == " ":
        pieces[line] = (CARD_LINE, "bold $foreground")
    elif line < width - 1:
        pieces[line] = ("┃", f"bold $foreground on {pieces[line][1]}")
    return Content.assemble(*_joined(pieces))


def legend(shown: Iterable[str], width: int, card: str = "card") -> Content:
    """The glyphs of the categories that occur, on as many lines of `width` as that takes."""
    wanted = set(shown)
    items: list[tuple[Piece, str]] = [((MEMORY[x].glyph * 2, MEMORY[x].variable), x) for x in MEMORY if x in wanted]
    items.append(((CARD_LINE, "bold $foreground"), card))
    lines: list[list[Piece]] = [[]]
    used = 0
    for (glyph, style), word in items:
        length = len(glyph) + 1 + len(word) + 2
        if used + length - 2 > width and lines[-1]:
            lines.append([])
            used = 0
        lines[-1] += [(glyph, style), (f" {word}  ", "$faint")]
        used += length
    return Content("\n").join([Content.assemble(*line) for line in lines])


def _in_order(by_category: Mapping[str, int]) -> list[str]:
    return [category for category in MEMORY if by_category.get(category, 0) > 0]


def _joined(pieces: list[Piece]) -> list[Piece]:
    """Neighbours of one style as one piece."""
    joined: list[Piece] = []
    for text, style in pieces:
        if joined and joined[-1][1] == style:
            joined[-1] = (joined[-1][0] + text, style)
        else:
            joined.append((text, style))
    return joined
