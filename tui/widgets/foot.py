"""The last lines of every screen: the status line, if there is something to say, and the keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Footer, Static

from tui.look import LookApp, Said
from tui.plain import safe

_SIGNS: Mapping[str, tuple[str, str]] = {
    "information": ("→", "$primary"),
    "warning": ("!", "$warning"),
    "error": ("✗", "$error"),
}


class StatusLine(Static):
    """What the app has to say, a line each; takes no room while that is nothing, and covers nothing."""

    DEFAULT_CSS = """
    StatusLine { height: auto; max-height: 4; padding: 0 2; background: $background; display: none; }
    StatusLine.-said { display: block; }
    """
    ALLOW_SELECT: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__("", markup=False)

    def on_mount(self) -> None:
        """Follow what the app says; a screen that has just been opened shows what was said before it."""
        self.watch(self.app, "said", self._show)

    def _show(self, said: tuple[Said, ...]) -> None:
        self.set_class(bool(said), "-said")
        self.update(Content("\n").join(map(_line, said)))


class Keys(Footer):
    """Textual's footer, made anew only if another key, or another word for one, is to be shown."""

    _shown: list[tuple[object, ...]] | None = None

    def compose(self) -> ComposeResult:
        """Remember what is shown."""
        if self._bindings_ready:
            self._shown = self._wanted()
        yield from super().compose()

    def bindings_changed(self, screen: Screen[Any]) -> None:
        """The focus moved, or a screen asked for it."""
        self._bindings_ready = True
        if screen.app.app_focus and self.is_attached and screen is self.screen:
            self.call_after_refresh(self._follow)

    async def _follow(self) -> None:
        if self.is_attached and self._shown != self._wanted():
            await self.recompose()

    def _wanted(self) -> list[tuple[object, ...]]:
        return [
            (binding.key, binding.description, binding.action, enabled, tooltip)
            for _, binding, enabled, tooltip in self.screen.active_bindings.values()
            if binding.show or binding.key == self.app.COMMAND_PALETTE_BINDING
        ]


class Foot(Vertical):
    """Docked to the bottom. `palette`: the footer names the key of the command palette too."""

    DEFAULT_CSS = """
    Foot { dock: bottom; height: auto; }
    Foot > Footer { dock: none; }
    """

    def __init__(self, *, palette: bool = False) -> None:
        super().__init__()
        self._palette = palette

    def compose(self) -> ComposeResult:
        """Status line and keys."""
        if isinstance(self.app, LookApp):
            yield StatusLine()
        yield Keys(show_command_palette=self._palette)


def _line(said: Said) -> Content:
    sign, style = _SIGNS[said.severity]
    return Content.assemble((f"{sign} ", f"bold {style}"), safe(said.text, lines=False, style=style))
