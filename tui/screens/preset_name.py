"""The name under which the plan is saved as a preset."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen

from backend import presets
from backend.errors import UserError
from tui.journey import Journey
from tui.widgets.field import Field


class PresetName(ModalScreen[str]):
    """Name and description; Enter saves, Esc leaves."""

    AUTO_FOCUS: ClassVar[str | None] = "#field-preset"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "leave"),
    ]

    def __init__(self, journey: Journey) -> None:
        super().__init__()
        self._journey = journey

    def compose(self) -> ComposeResult:
        """Two entries."""
        name = self._journey.preset or f"my-{self._journey.chosen()}"
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = Content("Save as a preset")
            dialog.border_subtitle = Content("Enter saves · Esc leaves")
            yield Field("preset", "name", name, help="Letters, digits, - and _; fttui train NAME runs it.")
            about = self._journey.start.description if self._journey.start else ""
            yield Field("description", "description", about, placeholder="what it is for", help="A line for yourself.")

    def on_input_submitted(self) -> None:
        """Enter: save, or say what is wrong with the name."""
        name = self.query_one("#row-preset", Field).text
        description = self.query_one("#row-description", Field).text
        comparison = self._journey.comparison()
        estimate = comparison.methods[self._journey.chosen()]
        try:
            presets.save(name, description, self._journey.answers, estimate, comparison.device.label)
        except UserError as error:
            self.query_one("#row-preset", Field).complain(str(error))
            return
        self.dismiss(name)

    def action_leave(self) -> None:
        """Leave without saving."""
        self.dismiss(None)
