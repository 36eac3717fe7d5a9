"""Where the result is, or how to continue: what you would copy into the shell next."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass

from rich.cells import cell_len

from backend import paths
from backend.run.history import History
from tui.panels.lines import Row
from tui.panels.log import log_row
from tui.panels.panel import Clock, Panel
from tui.panels.samples import wrapped
from tui.plain import plain


@dataclass(frozen=True)
class NextStep:
    """A heading, its explanation, and lines to copy."""

    title: str
    note: str
    lines: tuple[str, ...]
    also: str = ""
    """A remark below the lines, which is not copied."""

    @property
    def to_copy(self) -> str:
        """What `y` puts into the clipboard."""
        return "\n".join(self.lines)


class NextPanel(Panel):
    """The next step's lines, as they can be copied."""

    def __init__(self, history: History, step: NextStep, clock: Clock = time.time, *, id: str | None = None) -> None:
        super().__init__(history, clock, key="4", id=id)
        self.step = step

    @property
    def title(self) -> str:
        """The step's own heading."""
        return self.step.title

    def note(self) -> Row:
        """The key that copies."""
        return ((f"{plain(self.step.note, lines=False)} · " if self.step.note else "", "faint"), ("y copies", "accent"))

    def body(self, width: int, height: int) -> Iterable[Row]:
        """One row a line, more for the remark. A line without room has `~` for the home folder; all of it is copied."""
        also = _with_tilde(self.step.also)
        lines = [plain(line, lines=False) for line in self.step.lines]
        rows = [(line if cell_len(line) <= width else _with_tilde(line), "") for line in lines]
        rows += [(line, "faint") for line in wrapped(also, width, max(1, height - len(rows)))]
        return [((text, style),) for text, style in rows]


def _with_tilde(text: str) -> str:
    """`~` in place of the home folder, if that is a folder of its own: a container's may be `/`."""
    home = str(paths.expanded("~"))
    return re.sub(rf"(?<![\w/.-]){re.escape(home)}(?=/)", "~", text) if len(home) > 1 else text


class Trouble(Panel):
    """What went wrong: the sentence, then the log's last lines."""

    TITLE = "What went wrong"

    def __init__(self, history: History, sentence: str, clock: Clock = time.time, *, id: str | None = None) -> None:
        super().__init__(history, clock, key="3", id=id)
        self._sentence = sentence

    def body(self, width: int, height: int) -> Iterable[Row]:
        """The whole sentence, with long paths shortened if it does not fit, then as many lines of the log as fit."""
        most = max(1, height - 1)
        lines = wrapped(self._sentence, width, most + 1)
        if len(lines) > most:  # what is wrong with a path comes after it
            short = " ".join(_shortened(word, width // 2) for word in self._sentence.split())
            lines = wrapped(short, width, most)
        rows: list[Row] = [((line, "bad"),) for line in lines]
        room = max(0, height - len(rows))
        tail = list(self.history.log)[len(self.history.log) - min(room, len(self.history.log)) :]
        return [*rows, *(log_row(line) for line in tail)]


def _shortened(word: str, most: int) -> str:
    """Its beginning and its end, if it is longer than `most` characters."""
    return word if len(word) <= most else f"{word[: most // 2]}…{word[-(most // 2) :]}"
