"""A question that is answered with one line: a name, a note."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen

from backend.errors import UserError
from tui.plain import safe
from tui.widgets.field import Field

Act = Callable[[str], None]
"""Does what was asked with the line. Raises UserError, which is shown below it."""


class OneLine(ModalScreen[bool]):
    """Enter acts, Esc leaves. Dismissed with True if it was done."""

    AUTO_FOCUS: ClassVar[str | None] = "#field-line"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss", "leave")]

    def __init__(self, title: str, label: str, value: str, act: Act, *, help: str = "") -> None:
        super().__init__()
        self._title, self._label, self._value = title, label, value
        self._act, self._help = act, help

    def compose(self) -> ComposeResult:
        """The entry."""
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = safe(self._title, lines=False)
            dialog.border_subtitle = Content("Enter keeps it · Esc leaves")
            yield Field("line", self._label, self._value, help=self._help)

    def on_input_submitted(self) -> None:
        """Act, or say what is wrong."""
        field = self.query_one(Field)
        try:
            self._act(field.text)
        except UserError as error:
            field.complain(str(error))
        else:
            self.dismiss(True)
