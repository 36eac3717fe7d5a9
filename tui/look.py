"""How an app of ours looks on this terminal: themes, 16 colours or none, Unicode or ASCII."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from textual.app import App
from textual.binding import Binding
from textual.filter import LineFilter, Monochrome, NoColor
from textual.notifications import SeverityLevel

from backend import settings, typed
from backend.errors import UserError
from backend.settings import Settings
from tui import announce, theme
from tui.glyphs import ASCII, ascii_of, needs_ascii
from tui.harmless import HARMLESS
from tui.plain import plain

_NO_COLOR = NoColor()


class LookApp(App[str]):
    """Our colours and signs, for whatever screens a subclass shows."""

    TITLE = "fttui"
    CSS_PATH: ClassVar[Path] = Path(__file__).with_name("style.tcss")

    def __init__(self, own: Settings, *, ascii: bool | None = None) -> None:
        if theme.has_all_colours(os.environ):
            os.environ["COLORTERM"] = "truecolor"  # Rich goes by it alone, and would round colours otherwise
        super().__init__()
        self.settings = own
        self.preferred_theme = theme.for_terminal(os.environ, own.theme)
        wanted = own.ascii if ascii is None else ascii
        self._ascii = needs_ascii(os.environ) if wanted is None else wanted
        self._title_shown = ""
        self._began_with = ""

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Our colours, for themes that do not name them."""
        return theme.defaults(self.current_theme.ansi)

    def get_line_filters(self) -> Sequence[LineFilter]:
        """No colour at all with `$NO_COLOR`, for which Textual would send shades of grey; ASCII if it is wanted."""
        filters = [HARMLESS, *super().get_line_filters()]
        if self.no_color:
            filters = [*(x for x in filters if not isinstance(x, Monochrome | NoColor)), _NO_COLOR]
        return [*filters, ASCII] if self._ascii else filters

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: SeverityLevel = "information",
        timeout: float | None = None,
        markup: bool = False,
    ) -> None:
        """As Textual's, but for text from anywhere: markup is shown as text, whatever `markup` says."""
        super().notify(plain(message), title=plain(title), severity=severity, timeout=timeout, markup=False)

    def copy_to_clipboard(self, text: str) -> None:
        """As Textual's (OSC 52), but text that is not valid UTF-8, as names of files may be, is replaced."""
        super().copy_to_clipboard(text.encode("utf-8", "replace").decode())

    def get_key_display(self, binding: Binding) -> str:
        """The name of a key: `Esc`, as everywhere in our texts."""
        return "Esc" if binding.key == "escape" else super().get_key_display(binding)

    def on_load(self) -> None:
        """Set the theme before anything is styled; an unknown one must not keep the app from starting."""
        for own in theme.THEMES:
            self.register_theme(own)
        self.theme = self.preferred_theme if self.preferred_theme in self.available_themes else theme.DARK
        self._began_with = self.theme

    def watch_theme(self, name: str) -> None:
        """A theme that is chosen in the palette is the one of the next sessions too."""
        if self._began_with and name != self._began_with:
            with suppress(UserError, typed.Damaged):  # a closed home: this session has it
                settings.keep_theme(name)

    @property
    def is_terminal_behind(self) -> bool:
        """The connection is slow or nobody reads: a screen that updates by itself waits for the last frame."""
        return bool(getattr(self._driver, "is_behind", False))

    @property
    def title_shown(self) -> str:
        """What the terminal's title says of a run; empty if there is none."""
        return self._title_shown

    def tell_terminal(self, sequence: str) -> None:
        """Send a control sequence for which Textual has no call: a title, a notification."""
        if sequence and self._driver is not None:
            self._driver.write(sequence)

    def show_in_title(self, text: str) -> None:
        """Put `text` into the terminal's title if the settings allow it; at exit the old title is restored."""
        text = ascii_of(text) if self._ascii else text
        if text == self._title_shown:
            return
        is_first, self._title_shown = not self._title_shown, text
        if not self.settings.title:
            return
        if is_first:
            self.tell_terminal(announce.SAVE_TITLE)
        self.tell_terminal(announce.title(text))

    def say_at_end(self, text: str) -> None:
        """Ring the bell and notify the desktop, as the settings ask."""
        text = ascii_of(text) if self._ascii else text
        self.tell_terminal(announce.notification(text, self.settings.notify, os.environ))

    def on_unmount(self) -> None:
        """Restore the title; a terminal that can't gets an empty one."""
        if self._title_shown and self.settings.title:
            self.tell_terminal(announce.title("") + announce.RESTORE_TITLE)
