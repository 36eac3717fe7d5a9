"""The model's answers to the same prompts as it learns: before training and now."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import zip_longest
from typing import ClassVar

from rich.cells import cell_len
from textual.binding import Binding, BindingType

from backend.run.history import History, Sample
from tui.panels.lines import PAD, Row
from tui.panels.panel import Panel, row_width
from tui.plain import plain

NOTHING = "(no text)"
_NOTHING_YET = "the first answer comes with the first evaluation"
_ROOM_FOR_ANOTHER = 6
_SIDE_BY_SIDE, _COLUMN_GAP = 120, 2
"""Cells from which the answers are beside each other, and those between them."""


class Samples(Panel):
    """The latest answers, each with the one from before training; ↑ and ↓ go through the prompts."""

    TITLE = "Samples"
    KEY = "4"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "turn(-1)", "previous question", show=False),
        Binding("down", "turn(1)", "next question", show=False),
    ]

    _at = 0

    def action_turn(self, by: int) -> None:
        """Show another question."""
        count = len(prompts(self.history))
        self._at = (self._at + by) % count if count else 0
        self.redraw()

    def note(self) -> Row:
        """The step, and which of the prompts is shown."""
        if not self.history.samples:
            return ()
        count = len(prompts(self.history))
        which = f" · {self._at % count + 1} of {count}" if count > 1 else ""
        return ((f"step {self.history.samples[-1].step:,}", ""), (which, "faint"))

    def body(self, width: int, height: int) -> Iterable[Row]:
        """Prompt, the answer before training, and the latest one; they share the room."""
        known = prompts(self.history)
        if not known:
            return [((line, "faint"),) for line in wrapped(_NOTHING_YET, width, height)]
        rows: list[Row] = []
        for i in range(len(known)):
            room = height - len(rows) - (1 if rows else 0)
            if rows and room < _ROOM_FOR_ANOTHER:
                break
            rows += [()] if rows else []
            rows += self._asked(known[(self._at + i) % len(known)], width, room)
        return rows

    def _asked(self, prompt: str, width: int, height: int) -> list[Row]:
        first, last = before_and_after(self.history, prompt)
        rows = labelled("asked", prompt, width, 1 if height < 9 else 3, "faint")
        if last is first:
            return [*rows, *labelled("answer", last.text or NOTHING, width, height - len(rows), "")]
        if width >= _SIDE_BY_SIDE:
            return [*rows, *_beside(first.text or NOTHING, last.text or NOTHING, width, height - len(rows))]
        half = max(1, (height - len(rows)) // 2)
        early = labelled("before", first.text or NOTHING, width, half, "faint")
        return [*rows, *early, *labelled("now", last.text or NOTHING, width, height - len(rows) - len(early), "")]


def _beside(before: str, now: str, width: int, height: int) -> list[Row]:
    """The answer before training at the left, the latest at the right."""
    half = (width - _COLUMN_GAP) // 2
    left = labelled("before", before, half, height, "faint")
    right = labelled("now", now, half, height, "")
    empty: Row = ()
    pairs = zip_longest(left, right, fillvalue=empty)
    return [(*one, (" " * (half + _COLUMN_GAP - row_width(one)), PAD), *other) for one, other in pairs]


def prompts(history: History) -> list[str]:
    """The prompts, in the order they were first asked."""
    return list(dict.fromkeys(sample.prompt for sample in history.samples))


def before_and_after(history: History, prompt: str) -> tuple[Sample, Sample]:
    """The first and the latest answer to `prompt`; the same one twice if there is only one."""
    mine = [sample for sample in history.samples if sample.prompt == prompt]
    last = mine[-1] if mine[-1].step != mine[0].step else mine[0]  # several rows may ask the same
    return mine[0], last


def labelled(label: str, text: str, width: int, height: int, style: str) -> list[Row]:
    """`text` wrapped under a label, at most `height` rows."""
    indent = 8
    lines = wrapped(text, width - indent, height)
    heads = [label, *[""] * (len(lines) - 1)]
    return [((f"{head:<{indent}}", "second"), (line, style)) for head, line in zip(heads, lines, strict=True)]


def wrapped(text: str, width: int, height: int) -> list[str]:
    """Harmless `text` in lines of `width` cells, without blank lines; with an ellipsis if `height` cuts it."""
    lines: list[str] = []
    for paragraph in plain(text, limit=width * (height + 4) * 2).split("\n"):
        line = ""
        for word in paragraph.split():
            if line and cell_len(line) + 1 + cell_len(word) > width:
                lines.append(line)
                line = ""
            *full, word = _pieces(word, width)
            lines += full
            line = f"{line} {word}" if line else word
        if line:
            lines.append(line)
    if len(lines) > height > 0:
        lines = [*lines[: height - 1], lines[height - 1][: width - 2] + " …"]
    return lines[: max(0, height)] or [""]


def _pieces(word: str, width: int) -> list[str]:
    """`word` in pieces that each fit a line: a path may be longer than one, and some languages have no spaces."""
    if cell_len(word) <= width:
        return [word]
    pieces = [""]
    for character in word:
        if pieces[-1] and cell_len(pieces[-1]) + cell_len(character) > width:
            pieces.append("")
        pieces[-1] += character
    return pieces
