"""The dry run of the planned job, over the compare screen: `fttui plan --dry-run` in a process of its own."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType

from tui.screens.command_box import CommandBox


class DryRunScreen(CommandBox):
    """The command's table; Esc closes it, and ends the process where it still runs."""

    TITLE_TEXT: ClassVar[str] = "The real step, without values"
    BEGIN: ClassVar[str] = "Running each method's step under fake tensors: some seconds …"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,d,enter", "close", "close")]

    def on_mount(self) -> None:
        """Start it."""
        self.begin()
