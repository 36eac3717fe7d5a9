"""Every character of the screen in plain ASCII, for terminals whose font or encoding has nothing else.

It is the last filter before a line is painted, so that frames, bars, charts and outside text all go through it. Each
character keeps its width. What differs only by its shape still differs: the memory categories, raw and smoothed
losses, the signs that go with colours.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from rich.cells import get_character_cell_size
from rich.segment import Segment
from textual.app import App
from textual.color import Color
from textual.filter import LineFilter

from tui.theme import MEMORY

_FROM = "·×–−…°‖⏎←→↑↓▲▴▼▾▶●◉○★■✓✗❯⟦⟧◇━╸┈┊┃▕▏▁▔▎▍▌▋▊▉"
_TO = "-x--~'=/<>^v+^-v>**o*#+x>[]%=>-||||_----###"
_TYPOGRAPHY = "“”„«»‘’‚‹›—―‑•€£¥©®™≤≥≈≠±÷¶§←↗↘⇒⟶␡�▂▃▅▆▇"
_IN_ASCII = "\"\"\"\"\"'''''---*ELYcrt<>~#+/Ps</\\>>##.:=+*"
_SIGNS = dict(zip(_FROM + _TYPOGRAPHY, _TO + _IN_ASCII, strict=True)) | {
    sign.glyph: sign.ascii for sign in MEMORY.values()
}
_LETTER = re.compile(r"(CAPITAL|SMALL) LETTER (\w+)")
_UNKNOWN = "_"
"""For a character without an ASCII form; a question mark would look like a part of the text."""
_BRAILLE, _BLOCKS, _BOXES = range(0x2800, 0x2900), range(0x2580, 0x25A0), range(0x2500, 0x2580)
_UPPER, _MIDDLE, _LOWER = 0x01 | 0x08, 0x02 | 0x10 | 0x04 | 0x20, 0x40 | 0x80


class Ascii(LineFilter):
    """Textual paints each line through it."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The same cells in ASCII."""
        return [Segment(ascii_of(text), style, control) for text, style, control in segments]


ASCII = Ascii()
"""The one instance, as Textual caches lines by filter."""

PLAIN_TERMINALS = ("linux", "vt100", "vt102", "vt220", "vt320", "ansi", "cons25", "sun")
"""Values of TERM of terminals without braille: the kernel's console, and those that it emulates."""


def is_ascii(app: App[Any]) -> bool:
    """Whether `app` shows ASCII only: a chart then draws characters instead of dots."""
    return ASCII in app.get_line_filters()


def needs_ascii(environ: Mapping[str, str]) -> bool:
    """Whether the terminal can't show more: by its TERM, or by a locale that names another encoding than UTF-8.

    A locale that names no encoding (`C`, or unset, as in many containers) says nothing about the terminal.
    """
    if environ.get("TERM", "").partition("-")[0] in PLAIN_TERMINALS:
        return True
    locale = next((environ[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if environ.get(name)), "")
    encoding = locale.partition(".")[2].partition("@")[0].lower().replace("-", "")
    return encoding not in ("", "utf8")


def ascii_of(text: str) -> str:
    """`text` with each character in ASCII, as wide as it was."""
    return text if text.isascii() else "".join(map(_ascii, text))


@lru_cache(4096)
def _ascii(character: str) -> str:
    if character.isascii():
        return character
    if sign := _SIGNS.get(character):
        return sign
    code = ord(character)
    if code in _BRAILLE:
        return _dots(code - 0x2800)
    if code in _BOXES:
        return _line(character)
    if code in _BLOCKS:
        return "#"
    return _letter(character)


def _dots(dots: int) -> str:
    """A chart's cell, by the height of its dots."""
    if not dots:
        return " "
    upper, middle, lower = bool(dots & _UPPER), bool(dots & _MIDDLE), bool(dots & _LOWER)
    if upper and lower:
        return ":"
    return "'" if upper else "." if lower or not middle else "-"


def _line(character: str) -> str:
    """A piece of a frame."""
    name = unicodedata.name(character)
    down_or_up = any(word in name for word in ("VERTICAL", "UP", "DOWN"))
    sideways = any(word in name for word in ("HORIZONTAL", "LEFT", "RIGHT"))
    return "+" if down_or_up and sideways else "|" if down_or_up else "-"


def _letter(character: str) -> str:
    """`é` as `e`, `ж` as `z`, `λ` as `l`: by its parts or by its name; what is no letter as `_`, as wide as it was."""
    width = get_character_cell_size(character)
    ascii_form = "".join(x for x in unicodedata.normalize("NFKD", character) if x.isascii())
    if len(ascii_form) == width:
        return ascii_form
    named = _LETTER.search(unicodedata.name(character, ""))
    if named is None or width != 1:
        return _UNKNOWN * width
    return named[2][0] if named[1] == "CAPITAL" else named[2][0].lower()
