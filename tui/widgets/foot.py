"""The last lines of every screen: the status line, if there is something to say, and the keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.events import Resize
from textual.screen import Screen
from textual.widgets import Footer, Static
from textual.widgets._footer import FooterKey

from tui.look import LookApp, Said
from tui.plain import safe

_SIGNS: Mapping[str, tuple[str, str]] = {
    "information": ("→", "$primary"),
    "warning": ("!", "$warning"),
    "error": ("✗", "$error"),
}


class StatusLine(Static):
    """The app's messages, one per line; takes no room if there are none, and covers nothing."""

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
    """Textual's footer, rebuilt only if a key or its description changes.

    Keys that have no room are left out, the last ones first, but never the help, which lists all of them.
    """

    _shown: tuple[object, ...] = ()

    def compose(self) -> ComposeResult:
        """As many keys as there is room for."""
        if self._bindings_ready:
            self._shown = self._wanted()
        keys = [key for key in super().compose() if isinstance(key, FooterKey)]
        over = sum(map(_cells, keys)) - 1 - self.app.size.width
        left_out = []
        for key in reversed([key for key in keys if not _stays(key)]):
            if over > 0:
                left_out.append(key)
                over -= _cells(key)
        yield from (key for key in keys if key not in left_out)

    def on_resize(self, event: Resize) -> None:
        """There may be room for more of them, or for fewer."""
        if self.is_attached:
            self.call_after_refresh(self._follow)

    def bindings_changed(self, screen: Screen[Any]) -> None:
        """The focus moved, or a screen asked for it."""
        self._bindings_ready = True
        if screen.app.app_focus and self.is_attached and screen is self.screen:
            self.call_after_refresh(self._follow)

    async def _follow(self) -> None:
        if self.is_attached and self._shown != self._wanted():
            await self.recompose()

    def _wanted(self) -> tuple[object, ...]:
        keys = (
            (binding.key, binding.description, binding.action, enabled, tooltip)
            for _, binding, enabled, tooltip in self.screen.active_bindings.values()
            if binding.show or binding.key == self.app.COMMAND_PALETTE_BINDING
        )
        return (self.app.size.width, *keys)


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


def _cells(key: FooterKey) -> int:
    """Its key and its word, each with a space after it, and one before."""
    return cell_len(f" {key.key_display} {key.description} ")


def _stays(key: FooterKey) -> bool:
    return key.key in ("enter", "escape") or key.action == "help" or key.has_class("-command-palette")


def _line(said: Said) -> Content:
    sign, style = _SIGNS[said.severity]
    return Content.assemble((f"{sign} ", f"bold {style}"), safe(said.text, lines=False, style=style))
