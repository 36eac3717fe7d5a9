"""The run's log: it follows the end until you scroll up. `/` filters it, `w` wraps it, Enter opens a line.

What libraries printed is there too, and is shown when it is asked for: most of it is noise of the first seconds.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import ClassVar

from rich.cells import cell_len
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from backend.run.history import PRINTED, LogLine
from tui.panels.lines import Row
from tui.panels.panel import Panel, row_width
from tui.panels.samples import wrapped
from tui.plain import plain

_LONGEST, _MOST_ROWS = 1000, 40
"""The most characters of a line that are drawn, and the most rows if it is wrapped; Enter shows all of it."""
_WIDE = 78
"""Cells from which there is room to say all keys."""
_SIGNS = {"warning": ("! ", "warn"), "error": ("✗ ", "bad"), PRINTED: ("│ ", "faint")}


class LogPanel(Panel):
    """One line an entry, the newest at the bottom. ↑ ↓, PgUp PgDn and the wheel scroll; End follows again.

    `/` filters: only lines with every word that is typed stay; warning, error and printed match lines of that kind.
    ← → scroll sideways, `w` wraps long lines, `v` shows what libraries printed, Enter opens the line at the bottom.
    """

    class Opened(Message):
        """A line is to be shown whole."""

        def __init__(self, line: LogLine) -> None:
            super().__init__()
            self.line = line

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
        Binding("left", "sideways(-1)", "to the left", show=False),
        Binding("right", "sideways(1)", "to the right", show=False),
        Binding("w", "wrap", "wrap long lines", show=False),
        Binding("v", "printed", "what libraries printed", show=False),
        Binding("enter", "open", "open the line", key_display="Enter", show=False),
        Binding("enter", "keep", "keep the filter", key_display="Enter"),
        Binding("escape", "drop", "all lines", key_display="Esc", show=False),
    ]

    _lowest: int | None = None
    """Number of the lowest line shown, counted from the run's first; None follows the end."""
    _filter = ""
    _sideways = 0
    """Cells by which lines are moved to the left."""
    _wraps = False
    _shows_printed = False
    is_typing = False
    """A filter is being typed: every key goes to it."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Enter keeps a filter that is being typed; Esc drops a filter if there is one."""
        if action in ("keep", "open"):
            return self.is_typing == (action == "keep")
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

    def action_sideways(self, by: int) -> None:
        """Scroll all lines by a part of the panel's width; a line that is wrapped has nothing at its right."""
        step = max(8, self.size.width // 3)
        longest = max((cell_len(line.text) for _, line in self._matching()), default=0)
        self._sideways = min(max(0, self._sideways + by * step), max(0, longest - step))
        self.redraw()

    def action_wrap(self) -> None:
        """Wrap long lines, or cut them."""
        self._wraps, self._sideways = not self._wraps, 0
        self.redraw()

    def action_printed(self) -> None:
        """Show what libraries printed, or hide it."""
        self._shows_printed, self._lowest = not self._shows_printed, None
        self.redraw()

    def action_open(self) -> None:
        """Show the line at the bottom whole."""
        lines = self._matching()
        if at := len(lines) - self._below([number for number, _ in lines]):
            self.post_message(self.Opened(lines[at - 1][1]))

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
        is_wide = self.size.width >= _WIDE and self._lowest is None
        hint = "/ filters · w wraps · v printed · Enter opens " if is_wide else "/ filters "
        wanted: Row = ((hint, "faint"),) if self.has_focus else ()
        if typed or self.is_typing:
            hint = " · Esc shows all " if self.has_focus else " "
            wanted = ((f"/{typed}{'_' if self.is_typing else ''}", "accent"), (hint, "faint"))
        if self._lowest is None:
            return wanted
        below = self._below([number for number, _ in self._matching()])
        return (*wanted, (f"{below:,} newer", "warn"), (" · End follows", "faint"))

    def body(self, width: int, height: int) -> Iterable[Row]:
        """The last lines down to the lowest one, which is marked while the panel has the keys."""
        lines = self._matching()
        shown = lines[: len(lines) - self._below([number for number, _ in lines])]
        rows: list[Row] = []
        for place, (_, line) in enumerate(reversed(shown)):
            rows[:0] = self._entry(line, width, marked=self.has_focus and not place)
            if len(rows) >= height:
                break
        return rows[-height:]

    def _entry(self, line: LogLine, width: int, *, marked: bool) -> list[Row]:
        """One line, or as many as it takes if lines are wrapped."""
        head, text = log_head(line, marked=marked), plain(line.text, lines=False, limit=_LONGEST)
        if not self._wraps:
            return [(*head, (text[self._sideways :], ""))]
        room = width - row_width(head)
        first, *more = wrapped(text, max(8, room), _MOST_ROWS)
        return [(*head, (first, "")), *(((" " * row_width(head), ""), (part, "")) for part in more)]

    def _matching(self) -> list[tuple[int, LogLine]]:
        """Lines that match the filter, each with its number."""
        words = self._filter.lower().split()
        past = self.history
        numbered = list(enumerate(past.log, past.log_count - len(past.log)))
        if not words and not self._shows_printed and past.state != "failed":
            numbered = [x for x in numbered if x[1].level != PRINTED]
        return [x for x in numbered if all(word in f"{x[1].level} {x[1].text}".lower() for word in words)]

    def _below(self, numbers: list[int]) -> int:
        """How many of these lines are below the view."""
        return 0 if self._lowest is None else sum(number > self._lowest for number in numbers)


def log_head(line: LogLine, *, marked: bool = False) -> Row:
    """Time of day, and a sign for warnings, errors and printed lines."""
    at = time.strftime("%H:%M:%S", time.localtime(line.t)) if line.t else "      ··"
    sign: Row = (_SIGNS[line.level],) if line.level in _SIGNS else ()
    return (("❯ " if marked else "", "accent"), (f"{at} ", "faint"), *sign)


def log_row(line: LogLine) -> Row:
    """The whole entry on one line."""
    return (*log_head(line), (plain(line.text, lines=False, limit=_LONGEST), ""))
