"""The run's log and what libraries printed: it follows the end until you scroll up, and `/` filters it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType

from backend.run.history import PRINTED, LogLine
from tui.panels.lines import Row
from tui.panels.panel import Panel
from tui.plain import plain

_SIGNS = {"warning": ("! ", "warn"), "error": ("✗ ", "bad"), PRINTED: ("│ ", "faint")}


class LogPanel(Panel):
    """One line an entry, the newest at the bottom. ↑ ↓, PgUp PgDn and the wheel scroll; End follows again.

    `/` filters: only lines with every word that is typed stay; warning, error and printed match lines of that kind.
    """

    TITLE = "Log"
    KEY = "5"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "scroll_by(1)", "older", show=False),
        Binding("down", "scroll_by(-1)", "newer", show=False),
        Binding("pageup", "scroll_by(10)", "older", show=False),
        Binding("pagedown", "scroll_by(-10)", "newer", show=False),
        Binding("home", "scroll_by(1000000)", "oldest", show=False),
        Binding("end", "scroll_by(-1000000)", "follow", show=False),
        Binding("slash", "filter", "filter", key_display="/", show=False),
        Binding("enter", "keep", "keep the filter", key_display="Enter"),
        Binding("escape", "drop", "all lines", key_display="Esc", show=False),
    ]

    _lowest: int | None = None
    """Number of the lowest line shown, counted from the run's first; None follows the end."""
    _filter = ""
    is_typing = False
    """A filter is being typed: every key goes to it."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Enter keeps a filter that is being typed; Esc drops a filter if there is one."""
        if action == "keep":
            return self.is_typing
        return self.is_typing or bool(self._filter) if action == "drop" else not self.is_typing

    def action_filter(self) -> None:
        """Type a filter, until Enter keeps it or Esc drops it."""
        self._type(self._filter, typing=True)

    def action_keep(self) -> None:
        """The filter stays."""
        self._type(self._filter, typing=False)

    def action_drop(self) -> None:
        """All lines again."""
        self._type("", typing=False)

    def on_key(self, event: events.Key) -> None:
        """A key that is typed into the filter; Enter and Esc are bindings."""
        if not self.is_typing or event.key in ("enter", "escape"):
            return
        event.stop()
        event.prevent_default()
        if event.key == "backspace":
            self._type(self._filter[:-1], typing=True)
        elif event.character and event.character.isprintable():
            self._type(self._filter + event.character, typing=True)

    def on_blur(self) -> None:
        """Leaving the panel keeps the filter."""
        self.is_typing = False

    def _type(self, text: str, *, typing: bool) -> None:
        """Set the filter, and follow the end again."""
        self._filter, self.is_typing, self._lowest = text, typing, None
        self.redraw()
        self.refresh_bindings()

    def action_scroll_by(self, lines: int) -> None:
        """Move the view by `lines` towards the older ones."""
        numbers = [number for number, _ in self._matching()]
        shown = min(len(numbers), max(1, self.size.height - 2))
        at = len(numbers) - self._below(numbers)
        at = min(max(at - lines, shown), len(numbers))
        self._lowest = numbers[at - 1] if at < len(numbers) else None
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
        """The filter, and how many lines are below the view."""
        typed = plain(self._filter, lines=False)
        wanted: Row = (("/ filters ", "faint"),) if self.has_focus else ()
        if typed or self.is_typing:
            hint = " · Esc shows all " if self.has_focus else " "
            wanted = ((f"/{typed}{'_' if self.is_typing else ''}", "accent"), (hint, "faint"))
        if self._lowest is None:
            return wanted
        below = self._below([number for number, _ in self._matching()])
        return (*wanted, (f"{below:,} newer", "warn"), (" · End follows", "faint"))

    def body(self, width: int, height: int) -> Iterable[Row]:
        """The last lines down to the lowest one."""
        del width
        lines = self._matching()
        below = self._below([number for number, _ in lines])
        return [log_row(line) for _, line in lines[max(0, len(lines) - below - height) : len(lines) - below]]

    def _matching(self) -> list[tuple[int, LogLine]]:
        """Lines that match the filter, each with its number."""
        words = self._filter.lower().split()
        past = self.history
        numbered = enumerate(past.log, past.log_count - len(past.log))
        return [x for x in numbered if all(word in f"{x[1].level} {x[1].text}".lower() for word in words)]

    def _below(self, numbers: list[int]) -> int:
        """How many of these lines are below the view."""
        return 0 if self._lowest is None else sum(number > self._lowest for number in numbers)


def log_row(line: LogLine) -> Row:
    """Time of day, a sign for warnings, errors and printed lines, and the text on one line."""
    at = time.strftime("%H:%M:%S", time.localtime(line.t)) if line.t else "      ··"
    sign: Row = (_SIGNS[line.level],) if line.level in _SIGNS else ()
    return ((f"{at} ", "faint"), *sign, (plain(line.text, lines=False, limit=1000), ""))
