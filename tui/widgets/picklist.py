"""A list of choices, one highlighted; it scrolls itself, and the screen's entry passes keys on to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len
from textual import events
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from tui.glyphs import is_ascii
from tui.plain import plain
from tui.widgets.cells import cut, cut_start, fit

_GROUP = 13
"""Cells of a group's name."""
_DOUBLE = 2
_SHORT = 20
"""Words at the right of at most this many cells (a size, whether it fits) are never cut: a long name is cut instead."""


@dataclass(frozen=True)
class Choice:
    """One line: the value, the label that is shown for it, and a few words at the right."""

    value: str
    label: str
    detail: str = ""
    always: bool = False
    """Stays in the list whatever is typed."""
    group: str = ""
    """The group it belongs to, shown at the left of the group's first line."""


class PickList(Widget):
    """Lines of `Choice`; the highlighted one is the choice. Not focusable: keys come through `move`."""

    DEFAULT_CSS = """
    PickList { height: 1fr; min-height: 3; }
    """
    ALLOW_SELECT: ClassVar[bool] = False
    index = reactive(0)

    class Highlighted(Message):
        """Another choice is highlighted; `choice` is None if the list is empty."""

        def __init__(self, choice: Choice | None) -> None:
            super().__init__()
            self.choice = choice

    class Taken(Message):
        """A line was clicked twice: as Enter on it."""

    def __init__(self, choices: Sequence[Choice] = (), id: str | None = None) -> None:
        super().__init__(id=id)
        self._choices = list(choices)
        self._top = 0

    @property
    def choice(self) -> Choice | None:
        """The highlighted one."""
        return self._choices[self.index] if self._choices else None

    def show(self, choices: Sequence[Choice], value: str | None = None) -> None:
        """Show these; highlight the one with `value`, else the first."""
        before = self.choice
        self._choices = list(choices)
        values = [choice.value for choice in self._choices]
        self.set_reactive(PickList.index, values.index(value) if value in values else 0)
        self.refresh()
        if self.choice != before:
            self.post_message(self.Highlighted(self.choice))

    def make_room(self, lines: int) -> None:
        """Be `lines` high, within what the style sheet allows, whatever is typed afterwards."""
        self.styles.height = max(3, lines)

    def move(self, by: int) -> None:
        """Highlight the line `by` further; stops at both ends."""
        if self._choices:
            self.index = min(max(self.index + by, 0), len(self._choices) - 1)

    def watch_index(self) -> None:
        """Post that another one is highlighted."""
        self.post_message(self.Highlighted(self.choice))

    def on_click(self, event: events.Click) -> None:
        """Highlight the line that was clicked; a double click takes it."""
        line = self._top + event.y
        if line < len(self._choices):
            self.index = line
            if event.chain == _DOUBLE:
                self.post_message(self.Taken())

    def on_mouse_scroll_down(self) -> None:
        """Wheel."""
        self.move(1)

    def on_mouse_scroll_up(self) -> None:
        """Wheel."""
        self.move(-1)

    def render(self) -> Content:
        """As many lines around the highlighted one as there is room for."""
        height = max(1, self.size.height)
        self._top = min(max(self._top, self.index - height + 1), self.index)
        self._top = max(0, min(self._top, len(self._choices) - height))
        shown = range(self._top, min(self._top + height, len(self._choices)))
        lines = [self._line(position) for position in shown]
        if self._top + height < len(self._choices):
            lines[-1] = self._with_sign(lines[-1], "▾")
        if self._top > 0:
            lines[0] = self._with_sign(lines[0], "▴")
        return Content("\n").join(lines)

    def _line(self, position: int) -> Content:
        choice, width = self._choices[position], max(10, self.size.width - (2 if is_ascii(self.app) else 1))
        if any(one.group for one in self._choices):
            is_first = position == self._top or self._choices[position - 1].group != choice.group
            group = fit(choice.group if is_first else "", _GROUP)
            return Content.assemble((group, "$secondary"), self._own_line(position, width - _GROUP))
        return self._own_line(position, width)

    def _own_line(self, position: int, width: int) -> Content:
        choice = self._choices[position]
        label, detail = plain(choice.label, lines=False), plain(choice.detail, lines=False)
        beside = width - 4 - cell_len(detail)
        shorten = cut_start if "/" in label else cut
        label = shorten(label, beside if cell_len(detail) <= _SHORT and beside >= _SHORT else width - 2)
        room = width - 4 - cell_len(label)
        detail = cut(detail, room) if room >= min(8, cell_len(detail)) else ""
        label = fit(label, width - 2 - cell_len(detail))
        if position == self.index:
            style = "bold $block-cursor-foreground on $block-cursor-background"
            return Content.assemble((f"❯ {label}{detail}", style))
        return Content.assemble(f"  {label}", (detail, "$faint"))

    def _with_sign(self, line: Content, sign: str) -> Content:
        """`sign` at the line's end; in ASCII it is a letter, which needs a space before it."""
        return Content.assemble(line, (f" {sign}" if is_ascii(self.app) else sign, "$faint"))
