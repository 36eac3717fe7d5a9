"""A yes-or-no question; Enter alone does not mean yes."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from tui.widgets.prose import Prose, sentences


class Confirm(ModalScreen[bool]):
    """`y` is yes; Enter and Esc are no."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "yes"),
        Binding("enter,escape,n", "answer(False)", "no"),
    ]

    def __init__(self, question: str, reasons: tuple[str, ...], *, yes: str) -> None:
        super().__init__()
        self._question, self._reasons, self._yes = question, reasons, yes

    def compose(self) -> ComposeResult:
        """Reasons, question, keys."""
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = Content(self._question)
            yield Prose(lambda width: sentences(self._reasons, width, "!", "$warning"))
            keys = (("\n y ", "bold $primary"), self._yes, ("    Esc ", "bold $primary"), "go back")
            yield Static(Content.assemble(*keys), markup=False)

    def action_answer(self, yes: bool) -> None:
        """Close with the answer."""
        self.dismiss(yes)
