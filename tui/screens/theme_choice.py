"""The themes: each is shown while the list goes through it, and Enter keeps it for later sessions too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen

from tui.widgets.picklist import Choice, PickList


class ThemeChoice(ModalScreen[bool]):
    """A sheet at the bottom, so that the screen shows what the theme looks like. Dismissed with True to keep it."""

    AUTO_FOCUS: ClassVar[str | None] = None
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "leave(True)", "keep"),
        Binding("escape,q", "leave(False)", "undo"),
        Binding("up", "move(-1)", "up", show=False),
        Binding("down", "move(1)", "down", show=False),
        Binding("pageup", "move(-8)", "up", show=False),
        Binding("pagedown", "move(8)", "down", show=False),
    ]

    def __init__(self, themes: Sequence[Choice]) -> None:
        super().__init__()
        self._themes = themes

    def compose(self) -> ComposeResult:
        """A list."""
        with Vertical(classes="sheet") as sheet:
            sheet.border_title = Content("Theme · Enter keeps it · Esc undoes it")
            yield PickList()

    def on_mount(self) -> None:
        """The one that is shown now is highlighted."""
        self._before = self.app.theme
        self.query_one(PickList).show(self._themes, self._before)

    def on_pick_list_highlighted(self, event: PickList.Highlighted) -> None:
        """Show it."""
        event.stop()
        if event.choice is not None and event.choice.value in self.app.available_themes:
            self.app.theme = event.choice.value

    def on_pick_list_taken(self) -> None:
        """A double click."""
        self.action_leave(True)

    def action_move(self, by: int) -> None:
        """Another one."""
        self.query_one(PickList).move(by)

    def action_leave(self, keep: bool) -> None:
        """Keep it, or go back to the theme of before."""
        if not keep:
            self.app.theme = self._before
        self.dismiss(keep)
