"""The settings of a plan, each with its origin; a row is edited in place. Above them the line that starts the run."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widgets import Static

from backend.answers import Method
from backend.plan import fields
from backend.planner.estimates import MethodEstimate
from tui import plan_help
from tui.widgets.setting_rows import RESTORED, STARTS, YOU, SettingEditor, SettingRow, StartLine, StartRow

START = -1
"""The cursor's index above the rows."""
_ON_START = "Enter starts the training as set below; on a setting, Enter edits it."
GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "data",
        (
            "max_length",
            "packing",
            "epochs",
            "max_steps",
            "effective_batch",
            "eval_fraction",
            "seed",
            "train_on_turns",
            "special_tokens_in_data",
        ),
    ),
    ("learning", ("learning_rate", "schedule", "warmup_fraction", "weight_decay", "max_grad_norm", "optimizer")),
    (
        "adapter",
        ("rank", "alpha", "dropout", "target_modules", "use_dora", "use_rslora", "modules_to_save", "adapter_dtype"),
    ),
    (
        "memory and speed",
        (
            "quantization",
            "precision",
            "micro_batch",
            "checkpointing",
            "activation_offload",
            "kernels",
            "measure_kernels",
            "compile",
            "chunked_loss",
            "attention",
            "optimizer_in_backward",
            "weights_dtype",
            "processes",
        ),
    ),
    (
        "evaluating and saving",
        (
            "eval_every",
            "save_every",
            "sample_prompts",
            "keep_checkpoints",
            "keep",
            "early_stopping_patience",
            "early_stopping_min_delta",
            "measure_forgetting",
            "max_forgetting",
            "general_data",
            "replay_fraction",
            "task",
            "task_rows",
            "task_tokens",
            "budget_stop",
        ),
    ),
    ("preferences", ("objective", "preference_beta")),
)
_ADAPTER = {name for group, names in GROUPS if group == "adapter" for name in names}
_FULL = {"optimizer_in_backward", "weights_dtype"}


def shown_fields(method: Method) -> Iterator[tuple[str, str]]:
    """(group, field) for the fields that matter to `method`."""
    for group, names in GROUPS:
        for name in names:
            if method == "full" and name in _ADAPTER:
                continue
            if method != "full" and name in _FULL:
                continue
            yield group, name


class PlanSettings(VerticalScroll, can_focus=True):
    """The start line and all rows; up and down move the cursor."""

    DEFAULT_CSS = """
    PlanSettings { height: 1fr; scrollbar-size-vertical: 1; }
    PlanSettings .group { color: $faint; text-style: bold; height: 1; margin-top: 1; }
    StartRow, SettingRow { height: 1; text-wrap: nowrap; text-overflow: ellipsis; }
    SettingRow.-edited { display: none; }
    SettingEditor { height: auto; }
    SettingEditor Horizontal { height: 1; }
    SettingEditor .key { width: 27; color: $primary; text-style: bold; }
    SettingEditor Entry { width: 16; margin-right: 1; }
    SettingEditor .takes { width: 1fr; color: $faint; text-wrap: nowrap; text-overflow: ellipsis; }
    SettingEditor .error { height: auto; color: $error; display: none; padding-left: 27; }
    SettingEditor .error.-shown { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", "up", show=False),
        Binding("down", "move(1)", "down", show=False),
        Binding("pageup", "move(-8)", "up", show=False),
        Binding("pagedown", "move(8)", "down", show=False),
        Binding("home", "move(-99)", "to the start", show=False),
        Binding("end", "move(99)", "last", show=False),
    ]
    index = reactive(START)
    """Number of the row under the cursor, or START."""

    class Moved(Message):
        """Another row is under the cursor."""

    def __init__(self, method: Method) -> None:
        super().__init__(id="settings")
        self._keys = list(shown_fields(method))
        self._estimate: MethodEstimate | None = None
        self._restored: Collection[str] = frozenset()

    def compose(self) -> ComposeResult:
        """Rows under their groups' headings."""
        yield StartRow()
        last = ""
        for group, key in self._keys:
            if group != last:
                yield Static(group, classes="group", markup=False)
                last = group
            yield SettingRow(key)

    @property
    def rows(self) -> list[SettingRow]:
        """In order."""
        return list(self.query(SettingRow))

    @property
    def is_on_start(self) -> bool:
        """Whether the cursor is above the rows."""
        return self.index == START

    @property
    def editor(self) -> SettingEditor | None:
        """The editor of the row that is being edited, if any."""
        return self.query_one_optional(SettingEditor)

    @property
    def help_text(self) -> str:
        """What the row under the cursor means."""
        if self.is_on_start:
            return _ON_START
        key = self._keys[self.index][1]
        return f"{key}: {plan_help.texts().get(key) or key.replace('_', ' ')}"

    @property
    def explanation(self) -> Content:
        """What the row under the cursor means, and the origin of its value."""
        if self.is_on_start:
            start = self.query_one(StartRow).line
            return Content.styled(_ON_START if start is STARTS else f"{start.hint}.", "$faint")
        key = self._keys[self.index][1]
        origin = self._origin(key)
        meaning = plan_help.texts().get(key) or ""
        return Content.assemble((f"{key} ", "bold"), (f"{meaning} ".lstrip(), "$faint"), (f"({origin})", "$faint"))

    def show(
        self, estimate: MethodEstimate, start: StartLine = STARTS, restored: Collection[str] = frozenset()
    ) -> None:
        """Show this plan, and what Enter does on the first line; `restored` are fields of an earlier session."""
        self._estimate, self._restored = estimate, restored
        self.query_one(StartRow).line = start
        for position, row in enumerate(self.rows):
            self._show_row(position, row)

    def action_move(self, by: int) -> None:
        """To another row."""
        self.index = min(max(self.index + by, START), len(self._keys) - 1)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Home is listed only if it moves the cursor."""
        return parameters != (-99,) or not self.is_on_start

    def action_edit(self) -> None:
        """Edit the row under the cursor in place."""
        if self.is_on_start:
            return
        row = self.rows[self.index]
        if self._estimate is not None and self.editor is None:
            row.add_class("-edited")
            self.mount(SettingEditor(row.key, fields.text(getattr(self._estimate.plan, row.key))), after=row)

    def leave(self) -> bool:
        """Back from the editor to the row; False if no row is edited."""
        if self.editor is None:
            return False
        self.editor.remove()
        self.rows[self.index].remove_class("-edited")
        self.focus()
        return True

    def watch_index(self, old: int, new: int) -> None:
        """Move the cursor; an open editor is closed without a change."""
        if self.is_mounted:
            if self.editor is not None:
                self.editor.remove()
                self.rows[old].remove_class("-edited")
                self.focus()
            rows = self.rows
            for position in {old, new} - {START}:
                self._show_row(position, rows[position])
            start = self.query_one(StartRow)
            start.is_under_cursor = new == START
            self.scroll_to_widget(start if new == START else rows[new], animate=False)
            self.post_message(self.Moved())

    def on_click(self, event: events.Click) -> None:
        """The row that was clicked; clicked again, edit it."""
        if isinstance(event.widget, StartRow):
            if self.is_on_start and event.chain > 1:
                self.app.simulate_key("enter")
            self.index = START
        elif isinstance(event.widget, SettingRow):
            position = self.rows.index(event.widget)
            if position == self.index and event.chain > 1:
                self.action_edit()
            self.index = position

    def _show_row(self, position: int, row: SettingRow) -> None:
        if self._estimate is not None:
            value = fields.text(getattr(self._estimate.plan, row.key))
            row.show(value, self._origin(row.key), cursor=position == self.index)

    def _origin(self, key: str) -> str:
        """Where the value comes from."""
        origin = self._estimate.origin.get(key, "default") if self._estimate else ""
        return RESTORED if origin == YOU and key in self._restored else origin
