"""Another GPU, chosen on top of the compare screen, whose figures follow."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen

from backend.errors import UserError
from tui.screens.hardware import choice_of
from tui.widgets.entry import Entry
from tui.widgets.picker import Picker
from tui.widgets.picklist import Choice
from tui.wizard import wizard_of

THIS_BOX = Choice("", "this box")


class GpuChoice(ModalScreen[bool]):
    """A sheet below the columns; Enter keeps the GPU, Esc goes back to the one before."""

    AUTO_FOCUS: ClassVar[str | None] = None
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "undo", priority=True),
    ]

    def __init__(self, gpu: str, moved: Callable[[], None]) -> None:
        super().__init__()
        self._gpu = gpu
        self._moved = moved

    def compose(self) -> ComposeResult:
        """The same picker as on the first screen."""
        with Vertical(id="gpu-choice"):
            yield Picker(
                "What if it ran on …   Enter keeps it, Esc undoes it",
                "gpu",
                placeholder="4090, A100-80GB:2 …",
                help="A GPU's name, and :N for several.",
                fills=True,
            )

    def on_mount(self) -> None:
        """Offer this box and all known GPUs."""
        sources = wizard_of(self.app).journey.sources
        known = [choice_of(name, sources.named) for name in sources.device_names()]
        self.query_one(Picker).offer([THIS_BOX, *known], self._gpu)
        self.query_one(Entry).focus()

    def on_picker_changed(self, event: Picker.Changed) -> None:
        """Plan for the highlighted one."""
        try:
            wizard_of(self.app).plan_for(event.value)
            self._moved()
        except UserError as error:
            if not self.query_one(Entry).value:
                self.query_one(Picker).complain(str(error))

    def on_picker_submitted(self) -> None:
        """Enter: keep it, if it names a GPU."""
        try:
            wizard_of(self.app).plan_for(self.query_one(Picker).value)
            self._moved()
        except UserError as error:
            self.query_one(Picker).complain(str(error))
            return
        self.dismiss(True)

    def action_leave(self) -> None:
        """Keep the GPU as it was."""
        self.dismiss(False)
