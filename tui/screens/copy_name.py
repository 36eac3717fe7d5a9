"""The name of a preset's copy."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen

from backend import presets
from backend.errors import UserError
from tui.plain import safe
from tui.widgets.field import Field


class CopyName(ModalScreen[Path | None]):
    """One entry; Enter copies, Esc leaves. Dismissed with the copy's file if one was made."""

    AUTO_FOCUS: ClassVar[str | None] = "#field-copy"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss", "leave")]

    def __init__(self, name: str) -> None:
        super().__init__()
        self._preset = name

    def compose(self) -> ComposeResult:
        """The new name."""
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = safe(f"Copy {self._preset}", lines=False)
            dialog.border_subtitle = Content("Enter copies · Esc leaves")
            yield Field(
                "copy", "name", f"my-{self._preset}", help="Letters, digits, - and _; fttui train NAME runs it."
            )

    def on_input_submitted(self) -> None:
        """Copy, or say what is wrong with the name."""
        field = self.query_one(Field)
        try:
            copy = presets.copy(self._preset, field.text)
        except UserError as error:
            field.complain(str(error))
        else:
            self.dismiss(copy)
