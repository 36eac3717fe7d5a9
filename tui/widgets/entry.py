"""A one-line input with a help text. It selects its text on focus, so that typing replaces a default."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Size
from textual.reactive import Reactive
from textual.widgets import Input

from tui.plain import signs


class Entry(Input):
    """Compact. Enter posts `Submitted`, after everything that was typed or pasted before it."""

    DEFAULT_CSS = """
    Entry {
        height: 1; border: none; padding: 0 1; background: $panel; width: 1fr;
        &:focus { background: $panel; border: none; background-tint: $primary 12%; }
        &.-wrong { background-tint: $error 20%; }
        &:ansi { text-style: underline; }
        & > .input--placeholder { color: $faint; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "submit", "next", key_display="Enter")]
    virtual_size = Reactive(Size(0, 0))
    """No layout of the screen: what is typed scrolls within the line, which keeps its width."""

    def __init__(self, value: str = "", *, placeholder: str = "", id: str | None = None, help: str = "") -> None:
        super().__init__(value, placeholder=placeholder, id=id, compact=True, select_on_focus=True)
        self.help_text = help
        """What F1 shows for this field."""

    async def on_key(self, event: events.Key) -> None:
        """Act on an editing key at once: sent to the app and back, it would come after keys that were typed after it.

        Over a slow connection many keys arrive at once, and each must act on what was typed before it.
        """
        for binding in self._bindings.key_to_bindings.get(event.key, ()):
            if binding.action.startswith(("scroll_", "page_")):
                continue  # a line has nothing to scroll: arrows belong to its container, such as a picker
            event.stop()
            event.prevent_default()
            await self.run_action(binding.action)

    @property
    def _value(self) -> Text:
        """The text as it is drawn, without control characters, which pasted or stored text may hold."""
        return Text(signs(self.value), no_wrap=True, overflow="ignore", end="")

    def help(self) -> Content:
        """The field's help."""
        return Content(self.help_text)
