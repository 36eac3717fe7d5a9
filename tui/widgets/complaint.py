"""What is wrong with an answer, shown below it; takes no room if nothing is."""

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
        """Show this sentence; the screen is laid out again only if the sentence changed."""
        if text != self._said:
            self._said = text
            self.update(text)
            self.set_class(bool(text), "-shown")
