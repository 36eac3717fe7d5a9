"""A terminal that is too small says so, and how large it must be; what was there comes back when it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.screen import ModalScreen
from textual.widgets import Static

from tui.plain import plain

WIDTH, HEIGHT = 70, 20
"""Columns and lines that every screen has room in."""


def is_too_small(size: Size) -> bool:
    """Whether something would be cut off."""
    return size.width < WIDTH or size.height < HEIGHT


class TooSmall(ModalScreen[None]):
    """Covers everything; a run continues, and its state is shown."""

    DEFAULT_CSS = """
    TooSmall { align: center middle; }
    TooSmall > Static { width: auto; max-width: 100%; text-align: center; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("q,ctrl+q,ctrl+c", "app.leave", "leave", show=False)]

    def __init__(self, state: Callable[[], str]) -> None:
        """`state` is the terminal's title: how far a run is."""
        super().__init__()
        self._state = state

    def compose(self) -> ComposeResult:
        """One text."""
        yield Static("", markup=False)

    def on_mount(self) -> None:
        """Follow a run that continues."""
        self._show()
        self.set_interval(1.0, self._show)

    def on_resize(self) -> None:
        """The size is a part of the text."""
        self._show()

    def _show(self) -> None:
        size, state = self.app.size, plain(self._state(), lines=False, limit=200)
        said = f"too small: {size.width}x{size.height}\nfttui needs {WIDTH}x{HEIGHT}\nq leaves"
        self.query_one(Static).update(f"{said}\n\n{state}" if state else said)
