"""What becomes of a result: a form to export it in, then the command that does it, with its progress."""

from __future__ import annotations

import sys
from typing import ClassVar, get_args

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen

from backend.export.export import Target
from backend.run.folder import RunFolder
from tui.plain import safe
from tui.screens.command_box import CommandBox
from tui.widgets.picklist import Choice, PickList

ABOUT = {
    "merged": "one model: the base with the adapter merged into it",
    "ollama": "that, with a Modelfile",
    "vllm": "what vLLM serves, and the command",
    "sglang": "what SGLang serves, and the command",
    "gguf": "one file for llama.cpp",
    "mlx": "for MLX on a Mac",
    "lmstudio": "for LM Studio",
    "hub": "for the model hub",
    "trl": "the run as a script of TRL",
    "axolotl": "the run as a config of Axolotl",
    "llamafactory": "the run as a config of LLaMA-Factory",
}


class ExportScreen(CommandBox):
    """Runs the export in a process of its own; Esc ends it, and then nothing is written."""

    TITLE_TEXT: ClassVar[str] = "Export"
    BEGIN: ClassVar[str] = "starting\u2026"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "close", key_display="Esc"),
        Binding("enter", "close_ended", "close", show=False),
    ]
    _has_ended = False

    def on_mount(self) -> None:
        """Start at once: it was chosen."""
        self.begin()

    def on_line(self, line: str) -> None:
        """How far it is."""
        self.show(safe(line, lines=False, style="bold $primary"))

    def ended(self) -> None:
        """Enter closes it from now on."""
        self._has_ended = True

    def result(self, printed: str, complaint: str) -> str:
        """The result with the messages before it: how far the merged model differs, what is missing in the export."""
        return "\n".join(text for text in (complaint, printed) if text)

    def action_close_ended(self) -> None:
        """Close the box if the export has ended: a second Enter after the one that chose the form must not stop it."""
        if self._has_ended:
            self.action_close()


class ExportChoice(ModalScreen[None]):
    """The forms; Enter exports in the highlighted one."""

    AUTO_FOCUS: ClassVar[str | None] = None
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "take", "export"),
        Binding("escape,q", "dismiss", "close"),
        Binding("up", "move(-1)", "up", show=False),
        Binding("down", "move(1)", "down", show=False),
    ]

    def __init__(self, folder: RunFolder) -> None:
        super().__init__()
        self._folder = folder

    def compose(self) -> ComposeResult:
        """A list."""
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = safe(f"Export {self._folder.name}", lines=False)
            dialog.border_subtitle = Content("Enter exports · Esc closes")
            yield PickList()

    def on_mount(self) -> None:
        """What this version exports to."""
        targets = get_args(Target)
        self.query_one(PickList).make_room(len(targets))
        self.query_one(PickList).show([Choice(x, x, ABOUT.get(x, "")) for x in targets])

    def action_move(self, by: int) -> None:
        """Another one."""
        self.query_one(PickList).move(by)

    def on_pick_list_taken(self) -> None:
        """A double click."""
        self.action_take()

    def action_take(self) -> None:
        """Run the command that a user would type."""
        if choice := self.query_one(PickList).choice:
            command = [sys.executable, "-m", "tui", "export", self._folder.reference, "--to", choice.value]
            self.app.switch_screen(ExportScreen(command))
