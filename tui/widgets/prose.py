"""Text that is laid out for its width, and again when that changes: wrapped between words, with hanging indents."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rich.cells import cell_len
from textual.content import Content
from textual.geometry import Size
from textual.reactive import Reactive
from textual.widget import Widget

from tui.plain import safe

Build = Callable[[int], Content]
"""Width in cells -> the text, no line of it wider."""


class Prose(Widget):
    """Shows what `build` returns for the widget's width."""

    DEFAULT_CSS = "Prose { height: auto; }"
    virtual_size = Reactive(Size(0, 0))
    """No second layout of the screen after the one that gave the widget its size."""

    def __init__(self, build: Build | None = None, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._build = build or (lambda width: Content(""))
        self._laid_out: tuple[int, int] | None = None
        """The width and the lines of the last layout."""

    def show(self, build: Build) -> None:
        """Show what `build` returns from now on; the screen is laid out again only if it takes other room."""
        self._build = build
        width = self.content_size.width
        takes_same_room = self.is_attached and self._laid_out == (width, self._lines(width))
        self.refresh(layout=not takes_same_room)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Its lines."""
        self._laid_out = (width, self._lines(width))
        return self._laid_out[1]

    def _lines(self, width: int) -> int:
        text = self._build(width)
        return text.plain.count("\n") + 1 if text.plain else 0

    def render(self) -> Content:
        """The text for the width as it is."""
        return self._build(max(1, self.content_size.width))


def wrapped(text: Content, width: int, indent: int = 0) -> Content:
    """`text` with no line wider than `width` cells; continuation lines are indented by `indent` cells."""
    lines = [piece for line in text.split("\n", allow_blank=True) for piece in _wrap_line(line, max(8, width), indent)]
    return Content("\n").join(lines)


def sentences(texts: Iterable[str], width: int, sign: str = "·", style: str = "$foreground") -> Content:
    """`· sentence`, each a paragraph with a hanging indent."""
    lines = [
        wrapped(Content.assemble((f"{sign} ", f"bold {style}"), safe(text, lines=False)), width, 2) for text in texts
    ]
    return Content("\n").join(lines)


def stacked(parts: Iterable[Content]) -> Content:
    """The parts that are not empty, one below the other."""
    return Content("\n").join([part for part in parts if part.plain])


def _wrap_line(line: Content, width: int, indent: int) -> list[Content]:
    cuts = _cuts(line.plain, width, indent)
    pieces = line.divide(cuts) if cuts else [line]
    return [
        piece if not number else Content(" " * indent) + piece for number, piece in enumerate(map(_trimmed, pieces))
    ]


def _trimmed(piece: Content) -> Content:
    return piece.rstrip(" ")


def _cuts(text: str, width: int, indent: int) -> list[int]:
    """Offsets to break at: before the word that would not fit, or within one that is longer than a line."""
    cuts: list[int] = []
    used = 0
    room = width
    position = 0
    for word in _words(text):
        length = cell_len(word.rstrip(" "))
        is_alone = used <= indent and length > width - indent  # a sign, before what is longer than a line
        if used and used + length > room and not is_alone:
            cuts.append(position)
            used, room = 0, width - indent
        while used + cell_len(word.rstrip(" ")) > room:
            taken = _head(word, room - used)
            position += taken
            cuts.append(position)
            word, used, room = word[taken:], 0, width - indent
        used += cell_len(word)
        position += len(word)
    return cuts


def _words(text: str) -> Iterable[str]:
    """Words with the spaces after them; leading spaces are a word of their own."""
    start = 0
    for position in range(1, len(text)):
        if text[position - 1] == " " and text[position] != " ":
            yield text[start:position]
            start = position
    if text:
        yield text[start:]


def _head(word: str, room: int) -> int:
    """Characters of `word` that fit into `room` cells, at least one."""
    used = 0
    for count, character in enumerate(word):
        used += cell_len(character)
        if used > room:
            return max(1, count)
    return len(word)
