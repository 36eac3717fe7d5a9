"""The rail at the top: the steps of the wizard, the current one, and the answers so far."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from rich.cells import cell_len
from textual import events
from textual.content import Content
from textual.message import Message
from textual.widget import Widget

from tui.plain import plain
from tui.widgets.cells import cut, fit

STEPS: tuple[tuple[str, str], ...] = (
    ("hardware", "box"),
    ("model", "model"),
    ("data", "data"),
    ("goal", "goal"),
    ("compare", "compare"),
    ("review", "review"),
)
"""Each step, and the word that is shown for it."""
_BADGE = " fttui "
_NARROWEST, _NARROWEST_SPACED = 9, 11
"""Width of a step in cells: the longest word with its sign, and the same with space between words."""


class Rail(Widget):
    """Two lines: the steps, and below each its answer; at the left the preset that the wizard was started from."""

    DEFAULT_CSS = """
    Rail { height: 2; padding: 0 1; background: $surface; }
    """
    ALLOW_SELECT: ClassVar[bool] = False

    class Wanted(Message):
        """A step was clicked."""

        def __init__(self, step: str) -> None:
            super().__init__()
            self.step = step

    def __init__(self, current: str, answered: Mapping[str, str]) -> None:
        super().__init__()
        self._current = current
        self._answered = dict(answered)

    def show(self, answered: Mapping[str, str]) -> None:
        """Show these answers, by step."""
        if dict(answered) != self._answered:
            self._answered = dict(answered)
            self.refresh()

    def render(self) -> Content:
        """The two lines, each step in a column of the same width."""
        width = self._column
        upper: list[Content | str | tuple[str, str]] = [(_BADGE, "bold $background on $primary"), " "]
        preset = cut(self._preset, self._left - 1)
        upper.append(" " * (self._left - len(_BADGE) - 1))
        lower: list[Content | str | tuple[str, str]] = [(fit(preset, self._left), "$primary")]
        for index, (step, word) in enumerate(STEPS):
            sign, style = self._look(index)
            upper += [(f"{sign} {word}".ljust(width)[:width], style)]
            answer = plain(self._answered.get(step, ""), lines=False)
            lower += [(fit(f"  {cut(answer, width - 3)}", width), "$faint")]
        return Content.assemble(*upper, "\n", *lower)

    def on_click(self, event: events.Click) -> None:
        """Go back to the step that was clicked."""
        index = (event.x - 1 - self._left) // self._column
        if 0 <= index < self._position:
            self.post_message(self.Wanted(STEPS[index][0]))

    @property
    def _column(self) -> int:
        return max(_NARROWEST, (self.size.width - self._left) // len(STEPS))

    @property
    def _left(self) -> int:
        """Cells before the first step: as many as the preset's name takes, if the steps leave so many."""
        spare = self.size.width - _NARROWEST_SPACED * len(STEPS)
        return max(len(_BADGE) + 1, min(cell_len(self._preset) + 1, spare))

    @property
    def _preset(self) -> str:
        return plain(self._answered.get("preset", ""), lines=False)

    @property
    def _position(self) -> int:
        return [step for step, _ in STEPS].index(self._current)

    def _look(self, index: int) -> tuple[str, str]:
        if index == self._position:
            return "●", "bold $primary"
        return ("✓", "$foreground") if index < self._position else ("○", "$faint")
