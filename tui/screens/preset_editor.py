"""A preset's TOML in an editor: only a preset that can be used is saved, and its comments are kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static, TextArea

from backend import presets, typed
from backend.errors import UserError
from backend.preset_text import PresetError
from tui.plain import plain, safe
from tui.widgets.foot import Foot
from tui.widgets.toml_text import TomlArea


class PresetEditor(Screen[None]):
    """Raises UserError for a file that can't be read, or with control characters, which can't be edited here."""

    HELP_TEXT: ClassVar[str] = (
        "Plan fields are at the top, the job's answers under [job]; `fttui train --help` lists both. ^s checks and "
        "saves, Esc leaves without saving. An error is shown below, and the cursor goes to its line."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "save", "save", key_display="^s", priority=True),
        Binding("escape", "leave", "leave", key_display="Esc", priority=True),
        Binding("f1", "help", "help", key_display="F1"),
    ]

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        try:
            self._before = typed.read_bytes(path).decode("utf-8", "replace")
        except typed.Damaged as error:
            raise UserError(f"preset {path.stem} can't be read: {error}", "preset") from None
        if plain(self._before, limit=len(self._before)) != self._before.expandtabs(4):
            raise UserError(f"{path} holds control characters; edit it by hand", "preset")

    def compose(self) -> ComposeResult:
        """Title, text, error, footer."""
        yield Static(safe(f"Preset {self._path.stem}", lines=False, style="bold"), id="editor-title", markup=False)
        yield TomlArea(self._before, soft_wrap=False, show_line_numbers=True, tab_behavior="indent", id="editor")
        yield Static("", id="editor-note", markup=False)
        yield Foot()

    def action_save(self) -> None:
        """Write it if it can be used; else show the error and go to its line."""
        self._when_typed(self._save)

    def action_leave(self) -> None:
        """Back; ask first if something was changed."""
        self._when_typed(self._leave)

    def _when_typed(self, act: Callable[[], None]) -> None:
        """Act on all that was typed before the key, which overtakes it."""
        self.query_one(TextArea).call_later(self.call_later, act)

    def _save(self) -> None:
        if not self.is_current:
            return
        area = self.query_one(TextArea)
        try:
            presets.write(self._path.stem, area.text)
        except UserError as error:
            if isinstance(error, PresetError) and error.line:
                area.move_cursor((min(error.line, area.document.line_count) - 1, 0))
            self._say(Content.assemble(("✗ ", "bold $error"), safe(str(error), style="$error")))
        else:
            self.dismiss(None)

    def _leave(self) -> None:
        from tui.screens.confirm import Confirm

        if not self.is_current:
            return
        if self.query_one(TextArea).text == self._before:
            self.dismiss(None)
        else:
            reasons = ("Your changes are not saved.",)
            self.app.push_screen(Confirm("Leave without saving?", reasons, yes="leave"), self._left)

    def action_help(self) -> None:
        """Help and keys."""
        from tui.screens.help import HelpScreen

        self.app.push_screen(HelpScreen(self, self.HELP_TEXT))

    def _left(self, yes: bool | None) -> None:
        if yes:
            self.dismiss(None)

    def _say(self, text: Content) -> None:
        self.query_one("#editor-note", Static).update(text)
