"""A question over the screen: a few answers, each with its key and its consequence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.events import Key
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from tui.plain import safe


class Answer(NamedTuple):
    """One answer: its key, what it does, and what follows from it."""

    key: str
    label: str
    consequence: str


class Ask(ModalScreen[str | None]):
    """Returns the key of the chosen answer, or None for staying."""

    CSS_PATH = "ask.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,ctrl+c", "stay", "stay", key_display="Esc")]

    def __init__(self, question: str, answers: Sequence[Answer]) -> None:
        super().__init__()
        self._question = question
        self._answers = answers

    def compose(self) -> ComposeResult:
        """The question and its answers; the last one stays here."""
        options = [Option(_shown(answer), id=answer.key) for answer in self._answers]
        with Vertical(id="ask"):
            yield Static(safe(self._question, lines=False), id="question")
            yield OptionList(*options, Option(_shown(Answer("Esc", "Stay", "nothing changes")), id="stay"))

    def on_key(self, event: Key) -> None:
        """An answer's key chooses it at once."""
        if event.key in [answer.key for answer in self._answers]:
            event.stop()
            self.dismiss(event.key)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Enter or a click on an answer."""
        event.stop()
        self.dismiss(None if event.option_id == "stay" else event.option_id)

    def action_stay(self) -> None:
        """Close without an answer."""
        self.dismiss(None)


def _shown(answer: Answer) -> Content:
    return Content.assemble(
        (f"{answer.key:>3}  ", "bold $accent"), (f"{answer.label:<24}", "bold"), (answer.consequence, "$faint")
    )
