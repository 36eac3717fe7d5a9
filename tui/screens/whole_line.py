"""One line of the log, whole: wrapped, scrolled and copied."""

from __future__ import annotations

import time
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen

from backend.run.history import LogLine
from tui.plain import safe
from tui.widgets.prose import Prose, wrapped


class WholeLine(ModalScreen[None]):
    """Esc or Enter closes, y copies."""

    AUTO_FOCUS: ClassVar[str | None] = "VerticalScroll"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,q", "dismiss", "close"),
        Binding("y", "copy", "copy"),
    ]

    def __init__(self, line: LogLine) -> None:
        super().__init__()
        self._line = line

    def compose(self) -> ComposeResult:
        """When it was written, and all of its text."""
        with VerticalScroll(classes="dialog") as dialog:
            at = time.strftime("%H:%M:%S", time.localtime(self._line.t)) if self._line.t else ""
            dialog.border_title = safe(f"{at} {self._line.level}".strip(), lines=False)
            dialog.border_subtitle = Content("y copies · Esc closes")
            yield Prose(lambda width: wrapped(safe(self._line.text), width))

    def action_copy(self) -> None:
        """Put the text into the clipboard of the terminal that shows this."""
        self.app.copy_to_clipboard(self._line.text)
