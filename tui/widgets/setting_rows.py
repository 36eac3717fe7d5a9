"""The rows of the settings: the start, a setting, and what edits one in its place."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget
from textual.widgets import Static

from backend.plan import fields
from tui import plan_help
from tui.plain import plain, safe
from tui.widgets.cells import fit
from tui.widgets.entry import Entry

KEY, VALUE, ORIGIN = 27, 17, 46
"""Cells of a setting's name, of its value, and of where it comes from if there is room for its meaning beside that."""
_LEAST_MEANING = 60

YOU, RESTORED = "you", "from your last run; x clears it"
"""Origins of what the user set: in this session, or in an earlier one."""


class StartLine(NamedTuple):
    """What Enter does on the first line: in a few words, and a hint beside them."""

    does: str
    hint: str


STARTS = StartLine("Start the training", "Enter starts; ↓ to change a setting")


class SettingRow(Widget):
    """One setting on one line."""

    ALLOW_SELECT: ClassVar[bool] = False

    def __init__(self, key: str) -> None:
        super().__init__()
        self.key = key
        self._shown = ("", "", False)

    def show(self, value: str, origin: str, *, cursor: bool) -> None:
        """Show this value and where it comes from."""
        self._shown = (value, origin, cursor)
        self.refresh()

    def render(self) -> Content:
        """Name, value, origin, on a wide screen the meaning; the row under the cursor in its colour from end to end."""
        value, origin, cursor = self._shown
        mine = origin in (YOU, RESTORED)
        why = "you set this" if origin == YOU else plain(origin, lines=False)
        style = "bold $block-cursor-foreground on $block-cursor-background" if cursor else ""
        room = max(0, self.size.width - KEY - VALUE)
        wide = room >= ORIGIN + _LEAST_MEANING
        meaning = plan_help.texts().get(self.key, "") if wide else ""
        return Content.assemble(
            (fit(f"{'❯' if cursor else ' '} {self.key}", KEY), style or "$foreground"),
            (fit(plain(value, lines=False), VALUE), style or ("bold $primary" if mine else "bold")),
            (fit(why, ORIGIN if wide else room), style or ("$primary" if mine else "$faint")),
            (fit(meaning, room - ORIGIN) if wide else "", style or "$faint"),
        )


class StartRow(Widget):
    """The line on which Enter starts the run: above the settings, and the first to have the cursor."""

    ALLOW_SELECT: ClassVar[bool] = False
    is_under_cursor = reactive(True)
    line = reactive(STARTS)

    def render(self) -> Content:
        """What Enter does here, and how to get to the settings."""
        style = "bold $block-cursor-foreground on $block-cursor-background" if self.is_under_cursor else ""
        sign, hint = ("❯", self.line.hint) if self.is_under_cursor else (" ", "Home goes here")
        does = plain(self.line.does, lines=False)
        wide = max(KEY, cell_len(does) + 4)
        return Content.assemble(
            (fit(f"{sign} {does}", wide), style or "bold"),
            (fit(hint, max(0, self.size.width - wide)), style or "$faint"),
        )


class _ValueEntry(Entry):
    """Enter sets the value and does not start the run."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "submit", "set", key_display="Enter")]


class SettingEditor(Vertical):
    """Replaces a row while it is edited; an error is shown below it."""

    class Wanted(Message):
        """The user has entered the value in `editor`; an empty one leaves the setting to the planner."""

        def __init__(self, editor: SettingEditor) -> None:
            super().__init__()
            self.editor = editor

    def __init__(self, key: str, value: str) -> None:
        super().__init__()
        self.key = key
        self._initial = value

    def on_input_submitted(self, event: Entry.Submitted) -> None:
        """Enter: post what was typed."""
        event.stop()
        self.post_message(self.Wanted(self))

    def compose(self) -> ComposeResult:
        """Name, entry, the values that it takes; the error."""
        words = fields.choices(self.key)
        takes = ", ".join(words) if words else "empty: what the planner chooses"
        with Horizontal():
            yield Static(fit(f"❯ {self.key}", KEY), classes="key", markup=False)
            yield _ValueEntry(self._initial, id=f"field-{self.key}", help=plan_help.texts().get(self.key, ""))
            yield Static(safe(takes), classes="takes", markup=False)
        yield Static("", classes="error", markup=False)

    def on_mount(self) -> None:
        """The keys go to the entry."""
        self.query_one(Entry).focus()

    @property
    def text(self) -> str:
        """The text in the entry."""
        return self.query_one(Entry).value.strip()

    def complain(self, message: str) -> None:
        """Show an error below it."""
        error = self.query_one(".error", Static)
        error.update(Content.assemble(("✗ ", "bold"), safe(message)))
        error.add_class("-shown")
        self.query_one(Entry).add_class("-wrong")
