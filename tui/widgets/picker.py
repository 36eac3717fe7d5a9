"""A question with an entry and a list: what is typed filters the list, or is itself the answer."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Static

from backend import suggest
from tui import complete
from tui.plain import plain, safe
from tui.widgets.complaint import Complaint
from tui.widgets.entry import Entry
from tui.widgets.picklist import Choice, PickList


class Picker(Vertical):
    """Up and down highlight, typing filters; text that matches no line is offered as a line of its own.

    What is highlighted is shown, and only Enter makes it the answer: the screen then calls `keep`. Esc drops what was
    typed since, and the answer is highlighted again.
    """

    DEFAULT_CSS = """
    Picker { height: auto; }
    Picker.-fills { height: 1fr; }
    Picker > .question { text-style: bold; height: auto; }
    Picker > PickList { margin-top: 1; }
    """

    class Changed(Message):
        """Another value is highlighted."""

        def __init__(self, picker: Picker, value: str) -> None:
            super().__init__()
            self.picker = picker
            self.value = value

    class Submitted(Message):
        """Enter; what was typed before it has come as `Changed`."""

    def __init__(
        self,
        question: str,
        name: str,
        *,
        placeholder: str,
        help: str,
        typed_label: str = "use {}",
        fills: bool = False,
        paths: Literal["", "folders", "files"] = "",
    ) -> None:
        """`fills`: the list takes all the room there is. `paths`: what Tab completes."""
        super().__init__(id=f"picker-{name}", classes="-fills" if fills else "")
        self._fills = fills
        self._paths = paths
        self._found_paths: tuple[str, ...] = ()
        """What a path that is being typed can become, since the last Tab."""
        self._suggestion = ""
        """What the error that is shown offers instead."""
        self._question = question
        self._field = name
        self._placeholder = placeholder
        self._help = help
        self._typed_label = typed_label
        self._choices: list[Choice] = []
        self._value = ""
        self._typed = ""
        self._kept = ("", "")
        """The answer, and what was typed for it."""

    def compose(self) -> ComposeResult:
        """Question, line, error, list."""
        yield Static(self._question, classes="question", markup=False)
        yield Entry(placeholder=self._placeholder, id=f"field-{self._field}", help=self._help)
        yield Complaint()
        yield PickList()

    @property
    def value(self) -> str:
        """What is highlighted now."""
        choice = self.query_one(PickList).choice
        return choice.value if choice else self._typed

    def offer(self, choices: Sequence[Choice], value: str) -> None:
        """Offer these lines; the current answer is highlighted, as a line of its own if it is not one of them."""
        known = {choice.value for choice in choices}
        own = [] if not value or value in known else [Choice(value, value, "typed before")]
        self._choices = [*own, *choices]
        self._kept = (value, "")
        if not self._fills:
            self.query_one(PickList).make_room(len(self._choices) + 1)
        self._filter()

    def describe(self, details: Mapping[str, str]) -> None:
        """Change the words at the right of these values; what is typed and highlighted stays."""
        self._choices = [replace(one, detail=details.get(one.value, one.detail)) for one in self._choices]
        self._filter(highlight=self.value)

    def keep(self) -> None:
        """What is highlighted is the answer now."""
        self._kept = (self.value, self._typed)

    def complain(self, message: str) -> None:
        """Show what is wrong under the line; empty takes it away."""
        self._suggestion = suggest.offered(message)
        takes = (" Tab takes it.", "bold") if self._suggestion else ""
        self.query_one(Complaint).say(Content.assemble(("✗ ", "bold"), safe(message), takes) if message else Content())
        self.query_one(Entry).set_class(bool(message), "-wrong")
        if message:
            self.query_one(Entry).focus()

    def complete(self) -> bool:
        """Take an error's suggestion, or complete the path that is typed; False if there is neither."""
        entry = self.query_one(Entry)
        typed, taken = entry.value, self._suggestion
        if not taken and self._paths and typed and typed.isprintable():
            done = complete.complete(typed, folders_only=self._paths == "folders")
            taken, self._found_paths = done.text, done.paths if len(done.paths) > 1 else ()
        if not taken or (taken == typed and not self._found_paths):
            return False
        entry.value, self._typed = taken, taken.strip()
        entry.cursor_position = len(taken)
        self._filter()
        return True

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter as it is typed."""
        event.stop()
        self._typed = event.value.strip()
        self._filter()

    def on_pick_list_highlighted(self, event: PickList.Highlighted) -> None:
        """Pass on what is highlighted now."""
        event.stop()
        self._tell()

    def on_pick_list_taken(self, event: PickList.Taken) -> None:
        """A double click on a line is an Enter."""
        event.stop()
        self._tell()
        self.post_message(self.Submitted())

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Pass on what is highlighted now, then the Enter."""
        event.stop()
        self._tell()
        self.post_message(self.Submitted())

    def _tell(self) -> None:
        if self.value != self._value:
            self._value = self.value
            self.complain("")
            self.post_message(self.Changed(self, self._value))

    def on_key(self, event: events.Key) -> None:
        """Arrows and page keys move in the list while the entry keeps the focus; Esc first drops what was typed."""
        page = max(1, self.query_one(PickList).size.height - 1)
        steps = {"up": -1, "down": 1, "pageup": -page, "pagedown": page}
        entry, (_, typed_for_it) = self.query_one(Entry), self._kept
        if event.key in steps:
            self.query_one(PickList).move(steps[event.key])
        elif event.key == "escape" and entry.has_focus and entry.value.strip() != typed_for_it:
            entry.value = typed_for_it
        else:
            return
        event.stop()
        event.prevent_default()

    def _filter(self, highlight: str | None = None) -> None:
        typed, (answer, typed_for_it) = self._typed, self._kept
        rows = [choice for choice in self._choices if choice.always or matches(typed, choice)]
        rows.sort(key=lambda choice: rank(typed, choice))
        if typed and typed.lower() not in (choice.value.lower() for choice in rows):
            own = Choice(typed, self._typed_label.format(plain(typed, lines=False)))
            rows += [Choice(path, path) for path in self._found_paths if path.startswith(typed) and path != typed]
            rows = [own, *rows] if _is_explicit(typed) or not any(matches(typed, x) for x in rows) else [*rows, own]
        self.query_one(PickList).show(rows, highlight or (answer if typed in ("", typed_for_it) else None))


def matches(typed: str, choice: Choice) -> bool:
    """Whether every typed word is in the name, ignoring spaces and dashes; details, such as a price, don't count."""
    line = _squeezed(f"{choice.value} {choice.label}")
    return all(_squeezed(word) in line for word in typed.split())


def rank(typed: str, choice: Choice) -> int:
    """0 for a name that begins with what was typed, 1 for one with a word that does, 2 for others, 3 for none."""
    if choice.always and not matches(typed, choice):
        return 3
    name = choice.label.lower()
    if name.startswith(typed.lower()):
        return 0
    return 1 if any(word.startswith(typed.lower()) for word in re.split(r"[\s/_-]+", name)) else 2


def _squeezed(text: str) -> str:
    return re.sub(r"[\s_-]+", "", text.lower())


def _is_explicit(typed: str) -> bool:
    """Whether it is a path, a hub id or a size: an answer of its own, even if a line matches it too."""
    return "/" in typed or typed.startswith(("~", ".")) or re.fullmatch(r"\d+(\.\d+)?[bm]", typed.lower()) is not None
