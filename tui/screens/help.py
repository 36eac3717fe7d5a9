"""Help for the field in focus, for the screen, and its keys."""

from __future__ import annotations

from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen, Screen

from tui.widgets.prose import Prose, wrapped

_KEY = 14


class HelpScreen(ModalScreen[None]):
    """Over the screen that it explains."""

    AUTO_FOCUS: ClassVar[str | None] = "VerticalScroll"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,enter,f1,question_mark,q", "leave", "close")]

    def __init__(self, of: Screen[Any], text: str) -> None:
        super().__init__()
        self._field = str(getattr(of.focused, "help_text", "") or "")
        self._text = text
        self._keys = keys_of(of)

    def compose(self) -> ComposeResult:
        """Field, screen, keys."""
        parts = [Content.assemble(("this field\n", "bold $primary"), self._field, "\n")] if self._field else []
        if self._text and self._text != self._field:
            parts.append(Content.assemble(("this screen\n", "bold $primary"), self._text, "\n"))
        keys = [Content.assemble((f"{key.ljust(_KEY)}", "bold"), what) for key, what in self._keys]
        parts.append(Content.assemble(("keys\n", "bold $primary"), Content("\n").join(keys)))
        with VerticalScroll(classes="dialog") as dialog:
            dialog.border_title = Content("Help")
            dialog.border_subtitle = Content("Esc closes")
            yield Prose(lambda width: wrapped(Content("\n").join(parts), width))

    def action_leave(self) -> None:
        """Back."""
        self.dismiss(None)


def keys_of(screen: Screen[Any]) -> list[tuple[str, str]]:
    """Keys that work on `screen` now, with what they do; several keys for one action in one line."""
    found: dict[str, list[str]] = {}
    for active in screen.active_bindings.values():
        binding = active.binding
        if not active.enabled or not binding.description or binding.system:
            continue
        shown = screen.app.get_key_display(binding)
        keys = found.setdefault(binding.description, [])
        if shown not in keys:
            keys.append(shown)
    return [(" ".join(keys[:4]), what) for what, keys in found.items()]
