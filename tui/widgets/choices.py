"""One of a few choices, each with a sentence: the highlighted one is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from tui.widgets.picklist import Choice


class Choices(Widget, can_focus=True):
    """Up and down choose; the sign shows the choice, the bar at the left the focus."""

    DEFAULT_CSS = """
    Choices { height: auto; }
    """
    ALLOW_SELECT: ClassVar[bool] = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,left", "move(-1)", "choose", show=False),
        Binding("down,right", "move(1)", "choose", show=False),
    ]
    index = reactive(0, layout=True)

    class Changed(Message):
        """Another one is chosen."""

        def __init__(self, choices: Choices) -> None:
            super().__init__()
            self.choices = choices

    def __init__(self, name: str, choices: Sequence[Choice], value: str, *, help: str = "") -> None:
        super().__init__(id=f"field-{name}")
        self._choices = list(choices)
        self.help_text = help
        values = [choice.value for choice in self._choices]
        self.set_reactive(Choices.index, values.index(value) if value in values else 0)

    @property
    def value(self) -> str:
        """The chosen one."""
        return self._choices[self.index].value

    def help(self) -> Content:
        """The field's help."""
        return Content(self.help_text)

    async def on_key(self, event: events.Key) -> None:
        """Act at once: sent to the app and back, a key would come after a Tab that was pressed after it."""
        for binding in self._bindings.key_to_bindings.get(event.key, ()):
            event.stop()
            await self.run_action(binding.action)

    def action_move(self, by: int) -> None:
        """Choose the next or the previous one."""
        self.index = min(max(self.index + by, 0), len(self._choices) - 1)

    def watch_index(self) -> None:
        """Post that another one is chosen."""
        self.post_message(self.Changed(self))

    def on_click(self, event: events.Click) -> None:
        """Choose what was clicked."""
        if event.y < len(self._choices):
            self.index = event.y

    def get_content_height(self, container: object, viewport: object, width: int) -> int:
        """A line each."""
        return len(self._choices)

    def render(self) -> Content:
        """`◉ name  sentence` a line."""
        wide = max(len(choice.label) for choice in self._choices) + 2
        return Content("\n").join([self._line(position, wide) for position in range(len(self._choices))])

    def _line(self, position: int, wide: int) -> Content:
        choice = self._choices[position]
        chosen = position == self.index
        edge = ("❯ " if chosen else "  ") if self.has_focus else "  "
        text = f"{edge}{'◉' if chosen else '○'} {choice.label.ljust(wide)}"
        style = "bold $primary" if chosen and self.has_focus else "bold" if chosen else "$foreground"
        room = self.size.width - len(text)
        detail = choice.detail if len(choice.detail) <= room else choice.detail[: max(0, room - 1)] + "…"
        return Content.assemble((text, style), (detail, "$foreground" if chosen else "$faint"))
