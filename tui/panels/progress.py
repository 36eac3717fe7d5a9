"""The two rows at the top: the run's name, its progress and when it ends."""

from __future__ import annotations

import time

from backend import units
from backend.run.history import History
from tui.panels import words
from tui.panels.lines import PAD, Lines, Row
from tui.panels.panel import Clock, fitted, row_width
from tui.plain import plain

_STATES = {
    "done": ("✓ done", "good"),
    "failed": ("✗ failed", "bad"),
    "stopped": ("■ stopped", "warn"),
    "paused": ("‖ paused", "warn"),
}
_LOST = {"queued": ("○ queued", "accent")}
"""States in which a run has no process because it has not started; any other run without a process is lost."""
_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"


class ProgressPanel(Lines):
    """A header without a frame. Each figure has a fixed width, so that none moves when another changes."""

    def __init__(self, history: History, title: str, clock: Clock = time.time, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.history = history
        self.clock = clock
        self._title = plain(title, lines=False, limit=200)
        self.notice = ""
        """What the user asked for and has not happened yet, such as a stop."""
        self.lost_as = ""
        """The state of a run whose process ended without a last event; empty for any other."""

    def feed(self, history: History) -> None:
        """Draw what `history` holds now."""
        self.history = history
        self.redraw()

    def on_resize(self) -> None:
        """Draw for the new size."""
        self.redraw()

    def redraw(self) -> None:
        """Both rows."""
        width = self.size.width
        if width >= 20:
            self.set_rows([self._words(width), self._bar(width)])

    def _words(self, width: int) -> Row:
        """The title at the left, the end at the right, and between them as many figures as there is room for."""
        right = self._notice() or self._end()
        middle: Row = ()
        room = width - row_width(right) - 2
        title = fitted(((" ", ""), (self._title, "accent")), max(12, room - 24))
        for part in self._figures():
            if row_width((*title, *middle, *part)) + 3 <= room:
                middle = (*middle, ("   ", ""), *part)
        left = fitted((*title, *middle), room)
        return (*left, (" " * (width - row_width(left) - row_width(right) - 1), PAD), *right)

    def _figures(self) -> list[Row]:
        past = self.history
        if not past.step:
            return []
        total = f"{past.total_steps:,}"
        parts: list[Row] = [(("step ", "faint"), (f"{past.step:>{len(total)},}", "strong"), (f" of {total}", "faint"))]
        if (epoch := past.last_step.epoch) is not None:
            parts.append((("epoch ", "faint"), (f"{epoch:.2f}", ""), (_of_epochs(past), "faint")))
        mean = past.finished.tokens_per_second if past.finished else None
        if (rate := mean or past.last_step.tokens_per_second) is not None:
            parts.append(((f"{units.rate(rate):>6}", ""), (" tok/s mean" if mean else " tok/s", "faint")))
        return parts

    def _notice(self) -> Row:
        if not self.notice or self.history.finished:
            return ()
        return ((f"{self._spinner()} ", "accent"), (f"{self.notice} ", "warn"))

    def _spinner(self) -> str:
        return _SPINNER[int(self.clock() * 4) % len(_SPINNER)]

    def _end(self) -> Row:
        past, now = self.history, self.clock()
        if self.lost_as:
            return (_LOST.get(self.lost_as, (f"✗ {self.lost_as}", "bad")), (" ", ""))
        if past.finished:
            return (_STATES.get(past.state, (plain(past.state, lines=False), "strong")), (" ", ""))
        if past.eta_seconds is None or past.phase not in ("train", "eval", "sample", "checkpoint"):
            since = f" {units.duration(max(0.0, now - past.phase_since))}" if past.phase_since else ""
            return (
                (f"{self._spinner()} ", "accent"),
                (plain(words.phase_and_progress(past), lines=False), ""),
                (f"{since} ", "faint"),
            )
        end = (past.last_step.t or now) + past.eta_seconds
        left = units.duration(max(0.0, end - now))
        return (("ETA ", "faint"), (f"{left:>9}", "strong"), (f", at {words.end_of_run(end, now)} ", "faint"))

    def _bar(self, width: int) -> Row:
        past = self.history
        part = min(1.0, past.step / past.total_steps) if past.total_steps else 0.0
        room = width - 9
        halves = round(part * room * 2)
        full, half = divmod(halves, 2)
        style = "good" if past.state == "done" else "accent"
        rest = room - full - half
        return ((" ", ""), ("━" * full + "╸" * half, style), ("─" * rest, "frame"), (f"{part * 100:>4.0f} % ", ""))


def _of_epochs(past: History) -> str:
    """` of 3`; empty if the limit of steps ends the run, not its epochs."""
    epochs = past.started.epochs
    ended_by_steps = past.started.plan.get("max_steps") == past.total_steps
    return f" of {epochs:g}" if epochs is not None and not ended_by_steps else ""
