"""The last filter before the terminal: no painted cell holds a control sequence, whatever widget it comes from.

Widgets make outside text readable with `tui.plain`; this filter is the safety net below that, and below text that is
typed or pasted. Each cell keeps its place.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from rich.cells import get_character_cell_size
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from tui.plain import REPLACEMENT


class Harmless(LineFilter):
    """Textual paints each line through it."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The same cells, without controls and links."""
        if all(_is_harmless(segment) for segment in segments):
            return segments
        return [_harmless(segment) for segment in segments]


HARMLESS = Harmless()
"""The one instance, as Textual caches lines by filter."""


def _is_harmless(segment: Segment) -> bool:
    return segment.text.isprintable() and (segment.style is None or segment.style.link is None)


def _harmless(segment: Segment) -> Segment:
    text, style, control = segment
    style = style.update_link(None) if style is not None and style.link is not None else style
    return Segment(text if text.isprintable() else "".join(map(_cell, text)), style, control)


@lru_cache(4096)
def _cell(character: str) -> str:
    """`character`, or a replacement that takes as many cells, which may be none. A wide space stays a space."""
    if character.isprintable() or unicodedata.category(character) == "Zs":
        return character
    return REPLACEMENT * get_character_cell_size(character)
