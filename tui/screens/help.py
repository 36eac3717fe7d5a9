"""Help for the field in focus, for the screen, and its keys."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen, Screen

from tui.widgets.prose import Prose, wrapped

_KEY = 14


class HelpScreen(ModalScreen[None]):
    """Shown over the screen that it explains."""

    AUTO_FOCUS: ClassVar[str | None] = "VerticalScroll"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,enter,f1,question_mark,q", "leave", "close")]

    def __init__(self, of: Screen[Any], text: str) -> None:
        super().__init__()
        self._field = str(getattr(of.focused, "help_text", "") or "")
        self._text = text
        self._keys = [
            *keys_of(of),
            ("^p", "all commands"),
        ]

    def compose(self) -> ComposeResult:
        """Field, screen, keys."""
        parts = [Content.assemble(("this field\n", "bold $primary"), self._field, "\n")] if self._field else []
        if self._text and self._text != self._field:
            parts.append(Content.assemble(("this screen\n", "bold $primary"), self._text, "\n"))
        keys = [Content.assemble((key.ljust(_KEY), "bold"), what) for key, what in self._keys]
        parts.append(Content.assemble(("keys\n", "bold $primary"), Content("\n").join(keys)))
        with VerticalScroll(classes="dialog") as dialog:
            dialog.border_title = Content("Help")
            dialog.border_subtitle = Content("Esc closes")
            yield Prose(lambda width: wrapped(Content("\n").join(parts), width))

    def action_leave(self) -> None:
        """Back."""
        self.dismiss(None)


def keys_of(screen: Screen[Any]) -> list[tuple[str, str]]:
    """The keys that work on `screen` now, with what they do; several keys for one action share a line.

    A range of keys, such as 1-5, stands for all of them.
    """
    found: dict[str, list[str]] = {}
    bindings = own_bindings(screen)
    shown = [binding.key_display or "" for binding in bindings]
    ranges = [keys.split("-") for keys in shown if re.fullmatch(r"\d-\d", keys)]
    covered = {str(key) for first, last in ranges for key in range(int(first), int(last) + 1)}
    for binding in bindings:
        key = screen.app.get_key_display(binding)
        if key in covered:
            continue
        keys = found.setdefault(binding.description, [])
        if key not in keys:
            keys.append(key)
    return [(" ".join(keys), what) for what, keys in found.items()]


def own_bindings(screen: Screen[Any]) -> list[Binding]:
    """Bindings that are enabled now and that fttui defines, not Textual; those of the screen first."""
    active = [x for x in screen.active_bindings.values() if x.enabled and x.binding.description]
    active.sort(key=lambda x: (x.node is not screen, not _is_of(x.binding, type(screen))))
    return [x.binding for x in active if x.binding.action in _own_actions(type(x.node))]


def _is_of(binding: Binding, kind: type) -> bool:
    """Whether the class itself defines it, and not one that it inherits from."""
    return any(x.action == binding.action for x in kind.__dict__.get("BINDINGS", ()) if isinstance(x, Binding))


def _own_actions(kind: type) -> set[str]:
    """Actions that our classes bind."""
    ours = (x for x in kind.__mro__ if x.__module__.startswith("tui."))
    bindings = (binding for x in ours for binding in x.__dict__.get("BINDINGS", ()))
    return {binding.action for binding in bindings if isinstance(binding, Binding)}
