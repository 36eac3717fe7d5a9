"""What the live and the result screen share: panels to jump to and to maximise, and help."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.getters import query_one
from textual.screen import Screen

from backend.errors import UserError
from backend.run.folder import RunFolder
from tui.panels.panel import Panel
from tui.screens.repaint import CroppingCompositor
from tui.theme import METHOD_NAMES

if TYPE_CHECKING:
    from tui.app import WizardApp


class RunScreen(Screen[None]):
    """A grid `#panels` of panels over one run. A panel's key goes to it; the same key again gives it all the room."""

    AUTO_FOCUS = ""
    HELP_TEXT: ClassVar[str] = ""
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide"), (160, "-very-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-short"), (32, "-tall")]  # noqa: RUF012

    panels = query_one("#panels", Container)

    def __init__(self) -> None:
        super().__init__()
        self._compositor = CroppingCompositor()

    def action_panel(self, key: str) -> None:
        """Go to the panel with this key."""
        for panel in self.query(Panel):
            if panel.key == key:
                if panel.has_focus:
                    self.action_maximise()
                elif self.panels.has_class("-maximised"):
                    self._show_only(panel)
                panel.focus()

    def action_maximise(self) -> None:
        """Give the panel in focus (the first where none is) all the room, or show all again."""
        chosen = self.focused if isinstance(self.focused, Panel) else self.query(Panel).first()
        self._show_only(None if self.panels.has_class("-maximised") else chosen)

    def action_restore(self) -> None:
        """All panels, none in focus; from there back to where the run was opened from."""
        if self.focused is None and not self.panels.has_class("-maximised"):
            self.go_back()
        self._show_only(None)
        self.set_focus(None)

    def go_back(self) -> None:
        """To the screen before, where there is one to go back to."""
        self.wizard.go_back()

    @property
    def wizard(self) -> WizardApp:
        """The app, as what it is."""
        return cast("WizardApp", self.app)

    def _show_only(self, chosen: Panel | None) -> None:
        self.panels.set_class(chosen is not None, "-maximised")
        for panel in self.query(Panel):
            panel.display = chosen is None or panel is chosen
            panel.redraw()

    def action_help(self) -> None:
        """What is on the screen, and the keys."""
        from tui.screens.help import HelpScreen

        self.app.push_screen(HelpScreen(self, self.HELP_TEXT))


def panel_keys(count: int) -> list[BindingType]:
    """The bindings of a screen with `count` panels; the footer shows their keys as one."""
    return [
        Binding("1", "panel('1')", "panels", key_display=f"1-{count}"),
        *(Binding(f"{i}", f"panel('{i}')", f"panel {i}", show=False) for i in range(2, count + 1)),
        Binding("m", "maximise", "maximise"),
        Binding("f1,question_mark", "help", "help", key_display="?"),
        Binding("escape", "restore", "all panels, then back", show=False),
    ]


def run_title(folder: RunFolder) -> str:
    """`demo · QLoRA`; the folder's name where its plan can't be read."""
    try:
        job = folder.job()
    except UserError:
        return folder.name
    return f"{Path(job.model).name} · {METHOD_NAMES[job.plan.method]}"
