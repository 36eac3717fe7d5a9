"""A labelled entry with a hint, and its error below."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Static

from tui.plain import safe
from tui.widgets.complaint import Complaint
from tui.widgets.entry import Entry


class Field(Vertical):
    """One row, and a second one while there is an error."""

    DEFAULT_CSS = """
    Field { height: auto; }
    Field > Horizontal { height: 1; }
    Field .label { width: 22; height: 1; }
    Field Entry { width: 14; }
    Field .hint { width: 1fr; height: 1; padding-left: 2; color: $faint; text-wrap: nowrap; text-overflow: ellipsis; }
    Field > Complaint { padding-left: 22; }
    """

    def __init__(
        self, name: str, label: str, value: str = "", *, hint: str = "", placeholder: str = "", help: str = ""
    ) -> None:
        super().__init__(id=f"row-{name}")
        self._field, self._label, self._initial = name, label, value
        self._hint, self._placeholder, self._help = hint, placeholder, help

    def compose(self) -> ComposeResult:
        """Label, entry, hint; the error below."""
        with Horizontal():
            yield Static(self._label, classes="label", markup=False)
            yield Entry(self._initial, placeholder=self._placeholder, id=f"field-{self._field}", help=self._help)
            yield Static(safe(self._hint), classes="hint", markup=False)
        yield Complaint()

    @property
    def entry(self) -> Entry:
        """The entry itself."""
        return self.query_one(Entry)

    @property
    def text(self) -> str:
        """The text in the entry, without surrounding spaces."""
        return self.entry.value.strip()

    def hint(self, text: str) -> None:
        """Another hint."""
        self.query_one(".hint", Static).update(safe(text))

    def complain(self, message: str) -> None:
        """Show an error and focus the entry; an empty message clears it."""
        self.query_one(Complaint).say(Content.assemble(("✗ ", "bold"), safe(message)) if message else Content())
        self.entry.set_class(bool(message), "-wrong")
        if message:
            self.entry.focus()
