"""The run's log: follows its end, until you scroll up."""

from __future__ import annotations

import time
from collections.abc import Iterable
from itertools import islice
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType

from backend.run.history import LogLine
from tui.panels.lines import Row
from tui.panels.panel import Panel
from tui.plain import plain

_SIGNS = {"warning": ("! ", "warn"), "error": ("✗ ", "bad")}


class Log(Panel):
    """One line an entry, the newest at the bottom. ↑ ↓, PgUp PgDn and the wheel scroll; End follows again."""

    TITLE = "Log"
    KEY = "5"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "scroll_by(1)", "older", show=False),
        Binding("down", "scroll_by(-1)", "newer", show=False),
        Binding("pageup", "scroll_by(10)", "older", show=False),
        Binding("pagedown", "scroll_by(-10)", "newer", show=False),
        Binding("home", "scroll_by(1000000)", "oldest", show=False),
        Binding("end", "scroll_by(-1000000)", "follow", show=False),
    ]

    _anchor: int | None = None
    """Count of log lines up to the lowest one shown; None follows the end."""

    def action_scroll_by(self, lines: int) -> None:
        """Move the view `lines` towards the older ones."""
        count, kept = self.history.log_count, len(self.history.log)
        shown = min(kept, max(1, self.size.height - 2))
        lowest = max((self._anchor or count) - lines, count - kept + shown)
        self._anchor = lowest if lowest < count else None
        self.redraw()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """The wheel goes to older lines."""
        event.stop()
        self.action_scroll_by(3)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """The wheel goes to newer lines."""
        event.stop()
        self.action_scroll_by(-3)

    def note(self) -> Row:
        """How much is below the view."""
        if self._anchor is None:
            return ()
        return ((f"{self.history.log_count - self._anchor:,} newer", "warn"), (" · End follows", "faint"))

    def body(self, width: int, height: int) -> Iterable[Row]:
        """The last lines up to the anchor."""
        del width
        past = self.history
        below = past.log_count - self._anchor if self._anchor is not None else 0
        newest_first = islice(reversed(past.log), below, below + height)
        return [log_row(line) for line in reversed(list(newest_first))]


def log_row(line: LogLine) -> Row:
    """Time of day, a sign where it matters, and the text on one line."""
    at = time.strftime("%H:%M:%S", time.localtime(line.t))
    sign: Row = (_SIGNS[line.level],) if line.level in _SIGNS else ()
    return ((f"{at} ", "faint"), *sign, (plain(line.text, lines=False, limit=1000), ""))
