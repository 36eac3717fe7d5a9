"""One row as the model sees it, as a text with its targets told apart, or token by token."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from backend import units
from tui.plain import plain, safe
from tui.widgets.prose import sentences, stacked, wrapped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backend.data.browse import Shown, Token
    from backend.data.report import Segment

CHARACTERS = 20_000
"""The most characters of a row that are shown."""
TOKENS = 2000
LEGEND = " is a target: the loss counts these tokens only"


def row(shown: Shown, width: int, as_tokens: bool = False) -> Content:
    """The row, and below it why it is not used or what the brackets mean."""
    why = sentences([f"not used: {shown.refused}"] if shown.refused else [], width, "\u2717", "$error")
    if as_tokens and shown.tokens:
        return stacked([why, _tokens(shown.tokens[:TOKENS], width)])
    return stacked([why, wrapped(text(shown.segments, CHARACTERS), width), wrapped(legend(), width)])


def title(shown: Shown, rows: int) -> str:
    """`row 17 of 4,800 (from 0) \u00b7 212 tokens, 98 targets`."""
    parts = [f"row {shown.row:,} (from 0) of {rows:,}"]
    if shown.tokens:
        targets = sum(token.target for token in shown.tokens)
        parts.append(f"{units.counted(len(shown.tokens), 'token')}, {units.counted(targets, 'target')}")
    return " \u00b7 ".join([*parts, *(["cut"] if shown.cut else []), *(["not used"] if shown.refused else [])])


def text(segments: Sequence[Segment], room: int) -> Content:
    """At most `room` characters, targets between brackets and underlined, beside the colour."""
    pieces: list[Content] = []
    for segment in segments:
        if room <= 0:
            break
        words = plain(segment.text, limit=room)
        room -= len(words)
        if not segment.scored:
            pieces.append(Content.styled(words, "$faint"))
            continue
        pieces.append(Content.assemble(("⟦", "bold $success"), (words, "underline $success"), ("⟧", "bold $success")))
    return Content("").join(pieces)


def legend() -> Content:
    """What the brackets mean."""
    return Content.assemble(("⟦ ⟧", "bold $success"), (LEGEND, "$faint"))


def _tokens(tokens: Sequence[Token], width: int) -> Content:
    """`id  text` a line, targets marked."""
    return Content("\n").join(_token(token, max(8, width - 16)) for token in tokens)


def _token(token: Token, room: int) -> Content:
    mark, style = ("⟦ ", "$success") if token.target else ("  ", "$foreground")
    words = safe(token.text or "\u2026", lines=False, limit=room, style=style)
    return Content.assemble((f"{token.id:>8} ", "$faint"), (mark, "bold $success"), words)
