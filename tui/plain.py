"""Makes outside text safe for a terminal: rows, samples, file names, model answers and logs all go through here.

Escape sequences, C1 controls, bidirectional overrides, zero-width and tag characters become visible marks; long runs
of combining marks are cut. The result is ordinary printable text, but a widget must not parse markup in it: `safe`
returns it as Textual `Content`, in which no widget does. `signs` is for text that is edited and `in_json` for JSON,
whose values must not change. After all of them, `tui.harmless` checks every cell that is painted.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from textual.content import Content

REPLACEMENT = "\ufffd"
TAB = "    "
RETURN_SIGN = "\u23ce"
_CONTROL_PICTURES = {code: chr(0x2400 + code) for code in range(32)} | {0x7F: "\u2421", 0x09: TAB}
# Letters by category, but drawn as nothing: Hangul fillers and the braille-like blanks that hide text.
_INVISIBLE_LETTERS = {"\u115f", "\u1160", "\u3164", "\uffa0", "\u034f", "\u17b4", "\u17b5"}
# Cc controls, Cf formats (bidi, zero width, tags), Cs surrogates, Co private use, Cn unassigned, Zl/Zp separators.
_UNSAFE_CATEGORIES = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_MARKS_KEPT = 3
_NOT_ASCII = re.compile(r"[^\n -~]")


def plain(text: object, *, lines: bool = True, limit: int = 20_000) -> str:
    """`text` without anything that a terminal would execute, at most `limit` characters of it.

    Newlines stay, or become a sign if `lines` is False; tabs become spaces.
    """
    whole = str(text)
    cut = whole[:limit].replace("\r\n", "\n")
    kept = "".join(_pieces(cut)) if not cut.isascii() else cut
    pictures = {code: sign for code, sign in _CONTROL_PICTURES.items() if code != 0x0A}
    shown = kept.translate(pictures) + ("…" if len(whole) > limit else "")
    return shown if lines else shown.replace("\n", RETURN_SIGN)


def safe(text: object, *, lines: bool = True, limit: int = 20_000, style: str = "") -> Content:
    """`plain` as Textual `Content`: no widget parses markup in it."""
    from textual.content import Content  # the command line's plain lines need no Textual

    return Content.styled(plain(text, lines=lines, limit=limit), style)


def signs(text: str) -> str:
    """`text` with a sign for each character that a terminal would execute, and as many characters as before."""
    if text.isprintable():
        return text
    return "".join(x if x.isprintable() else _CONTROL_PICTURES.get(ord(x), REPLACEMENT)[0] for x in text)


def in_json(text: str) -> str:
    """JSON `text` with escapes for characters that a terminal would execute: a parser reads the same values."""
    return text if text.isascii() and "\x7f" not in text else _NOT_ASCII.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    character = found[0]
    if unicodedata.category(character) not in _UNSAFE_CATEGORIES:
        return character
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[i : i + 4]}" for i in range(0, len(units), 4))


def _pieces(text: str) -> list[str]:
    pieces = []
    marks = 0
    for character in text:
        is_mark = unicodedata.combining(character) != 0 or unicodedata.category(character) in ("Mn", "Me")
        marks = marks + 1 if is_mark else 0
        if marks <= _MARKS_KEPT:
            pieces.append(_harmless(character))
    return pieces


def _harmless(character: str) -> str:
    """One character or its replacement. Variation selectors are dropped, as terminals disagree about their width."""
    if character < "\x80":
        return character
    if "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef":
        return ""
    if character == "\u00ad":
        return "-"
    unsafe = character in _INVISIBLE_LETTERS or unicodedata.category(character) in _UNSAFE_CATEGORIES
    return REPLACEMENT if unsafe else character
