"""The chart of the run: the loss at first; `[` and `]` go through the other quantities that are measured."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from rich.cells import cell_len
from textual import events

from backend import units
from backend.run.history import PRINTED, History
from tui.glyphs import is_ascii
from tui.panels import words
from tui.panels.chart import EVAL_MARK, Chart
from tui.panels.lines import Row
from tui.panels.measures import LOSS, Measure, known
from tui.panels.panel import Clock, Panel, row_width
from tui.plain import plain

_WIDTH_FOR_HINT = 60


class Curve(Panel):
    """A quantity over optimizer steps."""

    KEY = "1"

    def __init__(
        self, history: History, clock: Clock = time.time, *, is_over: bool = False, id: str | None = None
    ) -> None:
        """`is_over`: nothing trains it now."""
        super().__init__(history, clock, id=id)
        self._is_over = is_over
        self._chart = Chart(history)

    @property
    def measure(self) -> Measure:
        """The quantity that is drawn."""
        return self._chart.measure

    @property
    def title(self) -> str:
        """Its name."""
        return self.measure.title

    @property
    def hint(self) -> str:
        """The keys that draw something else, if there is room to say them."""
        return "[ ]" if self.size.width >= _WIDTH_FOR_HINT else ""

    def turn(self, by: int) -> None:
        """Draw the next quantity that the run has values of, or the one before."""
        all_known = known(self.history)
        at = all_known.index(self.measure) if self.measure in all_known else 0
        self._chart = Chart(self.history, all_known[(at + by) % len(all_known)])
        self.redraw()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """The wheel goes through the quantities."""
        event.stop()
        self.turn(1)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """The wheel goes back."""
        event.stop()
        self.turn(-1)

    def note(self) -> Row:
        """The last value, the average, and the held-out loss, in as many words as there is room for."""
        head = len(self.title) + (len(self.hint) + 1 if self.hint else 0)
        room = self.size.width - head - 11  # the frame, the key, and a line between
        for is_long, has_change in ((True, True), (False, True), (False, False)):
            row = self._note(is_long=is_long, has_change=has_change)
            if row_width(row) <= room:
                break
        return row

    def _note(self, *, is_long: bool, has_change: bool) -> Row:
        measure, columns = self.measure, self._chart.columns
        values = measure.series(self.history).values
        row: Row = ((f"{'last ' if is_long else ''}", "faint"), (measure.shown(values[-1]), "")) if values else ()
        if values and measure.averaged and columns.average is not None:
            of = f"  mean of {columns.window} steps " if is_long else " mean "
            row = (*row, (of, "faint"), (measure.shown(columns.average), "curve"))
        if (predicted := measure.predicted(self.history)) is not None:
            row = (*row, ("  predicted " if is_long else " ┄ ", "faint"), (measure.shown(predicted), "warn"))
        return (*row, *self._held_out(is_long=is_long, has_change=has_change)) if measure is LOSS else row

    def _held_out(self, *, is_long: bool, has_change: bool) -> Row:
        evaluations = self.history.evaluations
        if not evaluations:
            return ()
        change = evaluations[-1].loss - evaluations[0].loss
        arrow = f" {'▼' if change <= 0 else '▲'}{abs(change):.2f}" if has_change and len(evaluations) > 1 else ""
        gap = "  " if self.history.losses else ""
        mark = f"{gap}{EVAL_MARK} held-out " if is_long else f"{gap[1:]}{EVAL_MARK} "
        return ((f"{mark}{evaluations[-1].loss:.3f}", "second"), (arrow, "faint"))

    def redraw(self) -> None:
        """Add the new points before the frame shows their figures."""
        self._chart.fold(self.history, self.size.width - 4)
        super().redraw()

    def body(self, width: int, height: int) -> Iterable[Row]:
        """The chart with its axes; before the first value, the phase."""
        if self._chart.is_empty(self.history):
            return self._waiting(width, height)
        return self._chart.rows(self.history, width, height, in_ascii=is_ascii(self.app))

    def _waiting(self, width: int, height: int) -> Iterator[Row]:
        """In the middle: the phase, its progress and duration, and the last line of the log."""
        past = self.history
        since = units.duration(max(0.0, self.clock() - past.phase_since)) if past.phase_since else ""
        far = " · ".join(text for text in (plain(words.progress(past), lines=False), since) if text)
        own = next((line.text for line in reversed(past.log) if line.level != PRINTED), "")
        last = plain(own, lines=False)
        if self._is_over:
            far, doing = "", "no step was made"
        else:
            doing = plain(words.phase(past), lines=False)
        rows = [(doing, "strong"), (far, "faint"), (last, "faint")]
        yield from [()] * max(0, height // 2 - 1)
        for text, style in rows:
            yield ((" " * max(0, (width - cell_len(text)) // 2), ""), (text, style))
