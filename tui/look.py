"""How fttui's apps look on this terminal: themes, 16 colours or none, Unicode or ASCII."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar, NamedTuple

from textual import events
from textual.app import App
from textual.binding import Binding
from textual.filter import LineFilter, Monochrome, NoColor
from textual.notifications import SeverityLevel
from textual.reactive import reactive
from textual.timer import Timer

from backend.settings import Settings
from tui import announce, theme
from tui.glyphs import ASCII, ascii_of, needs_ascii
from tui.harmless import HARMLESS
from tui.plain import plain

_NO_COLOR = NoColor()


class Said(NamedTuple):
    """A message: harmless text and its severity."""

    text: str
    severity: SeverityLevel
    at: float
    """`time.monotonic()` at which it was said."""


class LookApp(App[str]):
    """The colours, signs and messages that the screens of every subclass share."""

    TITLE = "fttui"
    CSS_PATH: ClassVar[Path] = Path(__file__).with_name("style.tcss")
    READ_SECONDS: ClassVar[float] = 2.0
    """A message is shown for at least this long even if keys are pressed: somebody may be typing ahead."""
    STAY_SECONDS: ClassVar[float] = 12.0
    """A message that is neither a warning nor an error disappears after this time even if no key is pressed."""
    said: reactive[tuple[Said, ...]] = reactive[tuple[Said, ...]]((), init=False)
    """What the status line of every screen shows; several if they came within a moment of each other."""

    def __init__(self, own: Settings, *, ascii: bool | None = None) -> None:
        if theme.has_all_colours(os.environ):
            os.environ["COLORTERM"] = "truecolor"  # Rich looks at nothing else, and would round the colours
        super().__init__()
        self.settings = own
        self.preferred_theme = theme.for_terminal(os.environ, own.theme)
        wanted = own.ascii if ascii is None else ascii
        self._ascii = needs_ascii(os.environ) if wanted is None else wanted
        self._title_shown = ""
        self._forgetting: Timer | None = None

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
        """Show a message, which may be text from anywhere, in the status line; from any thread. It covers nothing.

        It stays until a key is pressed. Markup is shown as text, whatever `markup` says; `timeout` is not used.
        """
        if threading.get_ident() != self._thread_id:
            self.call_later(partial(self.notify, message, title=title, severity=severity))
            return
        now = time.monotonic()
        text = plain(f"{title}: {message}" if title else message, lines=False)
        recent = tuple(x for x in self.said if now - x.at < self.READ_SECONDS and x.text != text)
        self.said = (*recent, Said(text, severity, now))
        self._forget_after(self.STAY_SECONDS if all(x.severity == "information" for x in self.said) else None)

    def unsay(self) -> None:
        """Clear the status line."""
        self.said = ()
        self._forget_after(None)

    def _forget_after(self, seconds: float | None) -> None:
        """Clear the status line after this many seconds; None leaves it."""
        if self._forgetting is not None:
            self._forgetting.stop()
        self._forgetting = self.set_timer(seconds, self.unsay) if seconds is not None else None

    async def on_event(self, event: events.Event) -> None:
        """A key or a click clears the status line once it could be read; what it leads to may say something else."""
        if self.said and isinstance(event, events.Key | events.MouseDown) and not event.is_forwarded:
            left = self.said[-1].at + self.READ_SECONDS - time.monotonic()
            self._forget_after(left) if left > 0 else self.unsay()
        await super().on_event(event)

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

    @property
    def is_terminal_behind(self) -> bool:
        """Whether the connection is slow or nobody reads: a live screen then waits for the last frame."""
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
