"""Where the result is, or how to continue: what you would copy into the shell next."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

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
        """One row a line; the home folder is shown as `~`, and copied as its whole path."""
        del width, height
        home = str(paths.expanded("~"))
        rows = [*((line, "") for line in self.step.lines), (self.step.also, "faint")]
        return [((plain(text, lines=False).replace(home, "~"), style),) for text, style in rows]


class Trouble(Panel):
    """What went wrong: the sentence, then the log's last lines."""

    TITLE = "What went wrong"

    def __init__(self, history: History, sentence: str, clock: Clock = time.time, *, id: str | None = None) -> None:
        super().__init__(history, clock, key="3", id=id)
        self._sentence = sentence

    def body(self, width: int, height: int) -> Iterable[Row]:
        """The whole sentence, and as much of the log as there is room for."""
        rows: list[Row] = [((line, "bad"),) for line in wrapped(self._sentence, width, max(1, height - 1))]
        room = max(0, height - len(rows))
        tail = list(self.history.log)[len(self.history.log) - min(room, len(self.history.log)) :]
        return [*rows, *(log_row(line) for line in tail)]
