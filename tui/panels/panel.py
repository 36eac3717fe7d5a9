"""What all panels share: a frame with a title and live figures in it, a key that jumps there, the history they draw."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import ClassVar

from rich.cells import cell_len
from textual import events

from backend.run.history import History
from tui.panels.lines import PAD, Lines, Row, Span

_DOUBLE = 2
Clock = Callable[[], float]
"""Unix seconds; `time.time` outside tests."""


class Panel(Lines, can_focus=True):
    """Draws itself from `History`, in a frame. The figures in the frame's top change without a repaint of the rest."""

    TITLE: ClassVar[str] = ""
    KEY: ClassVar[str] = ""
    """The key that jumps here, shown before the title."""

    def __init__(
        self, history: History, clock: Clock = time.time, *, key: str | None = None, id: str | None = None
    ) -> None:
        super().__init__(id=id)
        self.history = history
        self.clock = clock
        self.key = key or self.KEY

    @property
    def title(self) -> str:
        """The title in the frame."""
        return self.TITLE

    @property
    def hint(self) -> str:
        """Keys of its own, shown faint after the title."""
        return ""

    def feed(self, history: History) -> None:
        """Draw what `history` holds now."""
        self.history = history
        self.redraw()

    def redraw(self) -> None:
        """Draw again, after new events, a resize or a change of focus."""
        width, height = self.size
        if width < 8 or height < 3:
            return
        inner = list(self.body(width - 4, height - 2))[: height - 2]
        inner.extend([()] * (height - 2 - len(inner)))
        edge = "focus" if self.has_focus else "frame"
        self.set_rows(
            [
                _top(self.key, self.title, self.hint, self.note(), width, edge),
                *(_framed(row, width, edge) for row in inner),
                (("╰" + "─" * (width - 2) + "╯", edge),),
            ]
        )

    def note(self) -> Row:
        """Live figures at the right of the frame's top."""
        return ()

    def body(self, width: int, height: int) -> Iterable[Row]:
        """The rows inside the frame, `width` cells each."""
        raise NotImplementedError

    def on_resize(self) -> None:
        """Draw for the new size."""
        self.redraw()

    async def on_click(self, event: events.Click) -> None:
        """A click gives the panel the keys, as its number does; a double click gives it the whole screen."""
        if event.chain == _DOUBLE:
            await self.run_action("screen.maximise")

    def watch_has_focus(self, _has_focus: bool) -> None:
        """Draw the frame in the colour of focus."""
        super().watch_has_focus(_has_focus)
        self.redraw()


def row_width(row: Iterable[Span]) -> int:
    """Cells that a row takes."""
    return sum(cell_len(text) for text, _ in row)


def fitted(row: Row, width: int) -> Row:
    """`row` cut to `width` cells, with an ellipsis if something is lost."""
    if row_width(row) <= width:
        return row
    if width < 1:
        return ()
    out: list[Span] = []
    room = width - 1
    for text, style in row:
        kept = _cut(text, room)
        out.append((kept, style))
        room -= cell_len(kept)
        if kept != text:
            break
    return (*out, ("…", "faint"))


def _cut(text: str, room: int) -> str:
    while text and cell_len(text) > room:
        text = text[: max(0, min(len(text) - 1, room))]
    return text


def _top(key: str, title: str, hint: str, note: Row, width: int, edge: str) -> Row:
    head: Row = (("╭─ ", edge), (f"{key} ", "faint"), (f"{title} ", "strong"), (f"{hint} " if hint else "", "faint"))
    note = fitted(note, width - row_width(head) - 5)
    tail: Row = ((" ", ""), *note, (" ─╮", edge)) if note else (("╮", edge),)
    line = "─" * (width - row_width(head) - row_width(tail))
    return (*head, (line, edge), *tail)


def _framed(row: Row, width: int, edge: str) -> Row:
    row = fitted(row, width - 4)
    return (("│ ", edge), *row, (" " * (width - 4 - row_width(row)), PAD), (" ", PAD), ("│", edge))
