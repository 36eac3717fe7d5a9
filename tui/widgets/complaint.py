"""What is wrong with an answer, below it; takes no room while that is nothing."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static


class Complaint(Static):
    """One sentence."""

    DEFAULT_CSS = """
    Complaint { color: $error; height: auto; display: none; }
    Complaint.-shown { display: block; }
    """

    def __init__(self) -> None:
        super().__init__("", markup=False, classes="error")
        self._said = Content()

    def say(self, text: Content) -> None:
        """Say this; the screen is laid out again only if it is something else than before."""
        if text != self._said:
            self._said = text
            self.update(text)
            self.set_class(bool(text), "-shown")
