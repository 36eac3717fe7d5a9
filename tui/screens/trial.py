"""A trial of each method that fits, from the compare screen: `fttui plan --trial` in its own process."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content

from backend import units
from backend.trial.plan import Trial
from tui import trying
from tui.plain import safe
from tui.screens.command_box import CommandBox

TICK_SECONDS = 1.0
_ABOUT = (
    "One method after the other trains on your model and your data as planned, each in its own process. Time and "
    "memory are measured and correct this comparison if there are enough steps; everything else they write is deleted."
)


class TrialScreen(CommandBox):
    """Says how long it will take, starts on Enter and shows its progress; Esc ends it and deletes what it wrote.

    Dismissed with True if something was measured.
    """

    TITLE_TEXT: ClassVar[str] = "A trial on your own data"
    BEGIN: ClassVar[str] = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "go", "start", key_display="Enter"),
        Binding("escape", "close", "close", key_display="Esc"),
    ]

    def __init__(
        self, command: Sequence[str], trials: Sequence[Trial], clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(command)
        self._trials = trials
        self._clock = clock
        self._since: float | None = None
        self._line = ""
        self._over = False

    def on_mount(self) -> None:
        """Say what the trial would do; nothing is started yet."""
        self._say("Enter starts, Esc closes", "")

    def action_go(self) -> None:
        """Enter: start; when all is over, close."""
        if self._over:
            self.action_close()
        elif self._since is None:
            self._since = self._clock()
            self._line = "starting"
            self.begin()
            self._tick()
            self.set_interval(TICK_SECONDS, self._tick)

    def on_line(self, line: str) -> None:
        """Show the progress."""
        self._line = line
        self._tick()

    def ended(self) -> None:
        """The table is shown; nothing runs any more."""
        self._over = True
        self.query_one("#box").border_subtitle = Content("Esc closes")

    def _tick(self) -> None:
        if self._since is not None and not self._over:
            passed = units.duration(self._clock() - self._since)
            predicted = trying.seconds_of(self._trials)
            of = f" of about {units.duration(predicted)}" if predicted is not None else ""
            self._say("Esc ends it", f"{self._line} · {passed}{of}")

    def _say(self, keys: str, progress: str) -> None:
        box = self.query_one("#box")
        box.border_subtitle = Content(keys)
        now = safe(progress, lines=False, style="bold $primary") if progress else Content("")
        text = Content("\n\n").join([Content(trying.about(self._trials)), Content(_ABOUT), now])
        self.show(text)
