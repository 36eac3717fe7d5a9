"""Every command that works now, in groups, those of before first; typing filters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen

from tui.widgets.entry import Entry
from tui.widgets.picker import matches, rank
from tui.widgets.picklist import Choice, PickList

RECENT = "recent"


class Command(NamedTuple):
    """Something to do."""

    group: str
    title: str
    about: str
    """Its key, or a few words."""
    act: Callable[[], Any]


class Palette(ModalScreen[str]):
    """Dismissed with the title of the chosen command, or with None."""

    DEFAULT_CSS = """
    Palette #palette {
        width: 76; max-width: 96%; height: auto; max-height: 90%; margin-top: 2; padding: 0 1; background: $surface;
        border: round $border; border-title-style: bold; border-title-color: $primary; border-subtitle-color: $faint;
    }
    Palette PickList { margin-top: 1; max-height: 30; }
    """
    AUTO_FOCUS: ClassVar[str | None] = "Entry"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,ctrl+p", "leave", "close", priority=True)]

    def __init__(self, commands: Sequence[Command], recent: Sequence[str]) -> None:
        """`recent`: titles of commands that were chosen here before, the last one first."""
        super().__init__()
        self._choices = ordered(commands, recent)

    def compose(self) -> ComposeResult:
        """A line to type in, and the commands."""
        with Vertical(id="palette") as box:
            box.border_title = Content("Commands")
            box.border_subtitle = Content("Enter does it · Esc closes")
            yield Entry(placeholder="type to filter", id="field-command")
            yield PickList(self._choices)

    def on_mount(self) -> None:
        """Room for all of them, whatever is typed."""
        self.query_one(PickList).make_room(len(self._choices))

    def on_input_changed(self, event: Entry.Changed) -> None:
        """Filter as it is typed; the best match is highlighted."""
        typed = event.value.strip()
        shown = [choice for choice in self._choices if matches(typed, choice)]
        if typed:
            shown.sort(key=lambda choice: rank(typed, choice))
        self.query_one(PickList).show(shown)

    def on_input_submitted(self) -> None:
        """Enter."""
        choice = self.query_one(PickList).choice
        if choice is not None and self.is_current:
            self.dismiss(choice.value)

    def on_pick_list_taken(self) -> None:
        """A double click."""
        self.on_input_submitted()

    def on_key(self, event: events.Key) -> None:
        """Arrows and page keys move in the list while the line keeps the focus."""
        page = max(1, self.query_one(PickList).size.height - 1)
        steps = {"up": -1, "down": 1, "pageup": -page, "pagedown": page}
        if event.key in steps:
            event.stop()
            event.prevent_default()
            self.query_one(PickList).move(steps[event.key])

    def action_leave(self) -> None:
        """Nothing is done."""
        self.dismiss(None)


def ordered(commands: Sequence[Command], recent: Sequence[str]) -> list[Choice]:
    """The recent ones of those that work now, then the others group by group; each once."""
    by_title = {command.title: command for command in commands}
    before = [by_title[title] for title in recent if title in by_title]
    rest = [command for command in commands if command not in before]
    found = [(RECENT, command) for command in before] + [(command.group, command) for command in rest]
    return [Choice(command.title, command.title, command.about, group=group) for group, command in found]
