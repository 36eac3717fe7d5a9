"""The settings of a plan, each with where it comes from; a row is changed in place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widgets import Static

from backend.answers import Method
from backend.planner import fields
from backend.planner.outlook import Outlook
from tui import plan_help
from tui.plain import plain, safe
from tui.widgets.cells import fit
from tui.widgets.entry import Entry

KEY, VALUE = 24, 17
GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "data",
        ("max_length", "packing", "epochs", "max_steps", "effective_batch", "eval_fraction", "replay_fraction", "seed"),
    ),
    ("learning", ("learning_rate", "schedule", "warmup_fraction", "weight_decay", "max_grad_norm", "optimizer")),
    ("adapter", ("rank", "alpha", "dropout", "target_modules", "adapter_dtype")),
    (
        "memory and speed",
        (
            "quantization",
            "precision",
            "micro_batch",
            "checkpointing",
            "activation_offload",
            "chunked_loss",
            "attention",
            "optimizer_in_backward",
        ),
    ),
    ("keeping", ("eval_every", "save_every", "keep_checkpoints")),
)
_ADAPTER = {name for group, names in GROUPS if group == "adapter" for name in names}


def shown_fields(method: Method) -> Iterator[tuple[str, str]]:
    """(group, field) for the fields that matter to `method`."""
    for group, names in GROUPS:
        for name in names:
            if method == "full" and name in _ADAPTER:
                continue
            if method != "full" and name == "optimizer_in_backward":
                continue
            yield group, name


class SettingRow(Vertical):
    """One setting: its line, and while it is edited an entry in the place of the value."""

    def __init__(self, key: str) -> None:
        super().__init__(id=f"setting-{key}", classes="setting")
        self.key = key
        self.is_edited = False

    def compose(self) -> ComposeResult:
        """The line, the line with an entry, the error."""
        yield Static("", classes="line", markup=False)
        with Horizontal(classes="edit"):
            yield Static(fit(f"  {self.key}", KEY), classes="key", markup=False)
            yield Entry(id=f"field-{self.key}", help=plan_help.texts().get(self.key, ""))
            yield Static("", classes="takes", markup=False)
        yield Static("", classes="error", markup=False)

    def show(self, value: str, origin: str, *, cursor: bool) -> None:
        """Show this value and where it comes from."""
        mine = origin == "you"
        style = "bold $block-cursor-foreground on $block-cursor-background" if cursor else ""
        sign = "❯ " if cursor else "  "
        self.query_one(".line", Static).update(
            Content.assemble(
                (fit(f"{sign}{self.key}", KEY), style or "$foreground"),
                (fit(plain(value, lines=False), VALUE), style or ("bold $primary" if mine else "bold")),
                (("you set this" if mine else plain(origin, lines=False)), style or ("$primary" if mine else "$faint")),
            )
        )

    def edit(self, value: str) -> None:
        """Put an entry in the place of the value."""
        self.is_edited = True
        self.add_class("-edited")
        words = fields.choices(self.key)
        self.query_one(".takes", Static).update(
            safe(", ".join(words) if words else "Enter takes it, empty: the planner's")
        )
        entry = self.query_one(Entry)
        entry.value = value
        entry.focus()
        self.complain("")

    def leave(self) -> None:
        """Back to the line."""
        self.is_edited = False
        self.remove_class("-edited")
        self.complain("")

    def complain(self, message: str) -> None:
        """What is wrong with the entry, under it."""
        error = self.query_one(".error", Static)
        error.update(Content.assemble(("✗ ", "bold"), safe(message)) if message else "")
        error.set_class(bool(message), "-shown")
        self.query_one(Entry).set_class(bool(message), "-wrong")


class Settings(VerticalScroll, can_focus=True):
    """All rows; up and down move."""

    DEFAULT_CSS = """
    Settings { height: 1fr; scrollbar-size-vertical: 1; }
    Settings .group { color: $faint; text-style: bold; height: 1; margin-top: 1; }
    Settings .group.-first { margin-top: 0; }
    SettingRow { height: auto; }
    SettingRow .line { height: 1; text-wrap: nowrap; text-overflow: ellipsis; }
    SettingRow .edit { height: 1; display: none; }
    SettingRow .edit .key { width: 24; color: $primary; text-style: bold; }
    SettingRow .edit Entry { width: 16; margin-right: 1; }
    SettingRow .edit .takes { width: 1fr; color: $faint; text-wrap: nowrap; text-overflow: ellipsis; }
    SettingRow .error { height: auto; color: $error; display: none; padding-left: 24; }
    SettingRow .error.-shown { display: block; }
    SettingRow.-edited .line { display: none; }
    SettingRow.-edited .edit { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", "up", show=False),
        Binding("down", "move(1)", "down", show=False),
        Binding("pageup", "move(-8)", "up", show=False),
        Binding("pagedown", "move(8)", "down", show=False),
        Binding("home", "move(-99)", "first", show=False),
        Binding("end", "move(99)", "last", show=False),
    ]
    index = reactive(0)

    class Moved(Message):
        """Another row is under the cursor."""

    class Wanted(Message):
        """The user wants `key` to be `text`; empty leaves it to the planner."""

        def __init__(self, row: SettingRow, text: str) -> None:
            super().__init__()
            self.row = row
            self.text = text

    def __init__(self, method: Method) -> None:
        super().__init__(id="settings")
        self._keys = list(shown_fields(method))
        self._outlook: Outlook | None = None

    def compose(self) -> ComposeResult:
        """Rows under their groups' headings."""
        last = ""
        for group, key in self._keys:
            if group != last:
                yield Static(group, classes="group -first" if not last else "group", markup=False)
                last = group
            yield SettingRow(key)

    @property
    def rows(self) -> list[SettingRow]:
        """In order."""
        return list(self.query(SettingRow))

    @property
    def edited(self) -> SettingRow | None:
        """The row that is being edited."""
        return next((row for row in self.rows if row.is_edited), None)

    @property
    def help_text(self) -> str:
        """What the row under the cursor means."""
        key = self._keys[self.index][1]
        return f"{key}: {plan_help.texts().get(key) or key.replace('_', ' ')}"

    @property
    def explanation(self) -> Content:
        """What the row under the cursor means, and where its value comes from."""
        key = self._keys[self.index][1]
        origin = self._outlook.origin.get(key, "default") if self._outlook else ""
        meaning = plan_help.texts().get(key) or ""
        return Content.assemble((f"{key} ", "bold"), (f"{meaning} ".lstrip(), "$faint"), (f"({origin})", "$faint"))

    def show(self, outlook: Outlook) -> None:
        """Show this plan."""
        self._outlook = outlook
        for position in range(len(self._keys)):
            self._show_row(position)

    def action_move(self, by: int) -> None:
        """To another row."""
        self.index = min(max(self.index + by, 0), len(self._keys) - 1)

    def action_edit(self) -> None:
        """Edit the row under the cursor."""
        key = self._keys[self.index][1]
        if self._outlook is not None:
            self.rows[self.index].edit(fields.text(getattr(self._outlook.plan, key)))

    def take(self) -> bool:
        """Enter: hand on what was typed; False where no row is edited."""
        row = self.edited
        if row is None:
            return False
        self.post_message(self.Wanted(row, row.query_one(Entry).value.strip()))
        return True

    def leave(self) -> bool:
        """Esc: leave the row as it was; False where no row is edited."""
        row = self.edited
        if row is None:
            return False
        row.leave()
        self.focus()
        return True

    def watch_index(self, old: int, new: int) -> None:
        """Move the cursor."""
        if self.is_mounted:
            self._show_row(old)
            self._show_row(new)
            self.scroll_to_widget(self.rows[new], animate=False)
            self.post_message(self.Moved())

    def on_click(self, event: events.Click) -> None:
        """The row that was clicked; clicked again, edit it."""
        for position, row in enumerate(self.rows):
            if event.widget is not None and row in event.widget.ancestors_with_self:
                if position == self.index and event.chain > 1:
                    self.action_edit()
                self.index = position

    def _show_row(self, position: int) -> None:
        key = self._keys[position][1]
        if self._outlook is None:
            return
        value = fields.text(getattr(self._outlook.plan, key))
        origin = self._outlook.origin.get(key, "default")
        self.rows[position].show(value, origin, cursor=position == self.index)
