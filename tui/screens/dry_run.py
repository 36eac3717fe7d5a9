"""The dry run of the planned job, from the compare screen: `fttui plan --dry-run` in its own process."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType

from tui.plain import safe
from tui.screens.command_box import CommandBox


class DryRunScreen(CommandBox):
    """The command's table; Esc closes it, and ends the process if it is still running."""

    TITLE_TEXT: ClassVar[str] = "Dry run: the real step without values"
    BEGIN: ClassVar[str] = "Running each method's step on fake tensors: some seconds …"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,d,enter", "close", "close")]

    def on_line(self, line: str) -> None:
        """Which method it is at."""
        self.show(safe(f"Now {line} …", lines=False))

    def on_mount(self) -> None:
        """Start it."""
        self.begin()
