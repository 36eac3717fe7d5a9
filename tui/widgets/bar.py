"""Memory as one stacked bar with a line at the card's memory; each category has a glyph and a colour."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from textual.content import Content

from tui.theme import CARD_LINE, MEMORY
from tui.widgets.prose import wrapped

_OVERFLOW = "▶"
Piece = tuple[str, str]


def scale_for(card_bytes: int, peaks: Iterable[int]) -> int:
    """Bytes of a full bar: a little more than the card's memory, so that all bars of a screen have the same scale.

    A peak beyond that runs off the end, and is marked there.
    """
    most = max(peaks, default=0)
    return int(max(card_bytes * 1.04, min(most, card_bytes * 1.15))) or 1


def cells(by_category: Mapping[str, int], width: int, scale: int) -> list[str]:
    """The category of each filled cell, in stacking order. Running sums are rounded, so that errors do not add up."""
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


def legend(shown: Iterable[str], width: int, room: str, what: str) -> Content:
    """The glyphs of the categories in `shown`, and the card's line with its `room`, in `width` cells.

    If they are too long for one line, first the gaps are narrowed, then `what`, the meaning of the line, is left out.
    """
    wanted = set(shown)
    items: list[tuple[Piece, str]] = [((MEMORY[x].glyph, MEMORY[x].variable), x) for x in MEMORY if x in wanted]
    line = ((CARD_LINE, "bold $foreground"), f"{room} {what}")
    short = ((CARD_LINE, "bold $foreground"), room)
    for entries, gap in (([*items, line], 2), ([*items, line], 1), ([*items, short], 1)):
        content = _legend_line(entries, gap)
        if content.cell_length <= width:
            return content
    return wrapped(content, width)


def _legend_line(entries: list[tuple[Piece, str]], gap: int) -> Content:
    pieces = [Content.assemble(glyph, (f" {word}", "$faint")) for glyph, word in entries]
    return Content(" " * gap).join(pieces)


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
