"""What the live and the result screen share: panels to jump to, to maximise and to hide, and help."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.getters import query_one
from textual.screen import Screen

from backend.errors import UserError
from backend.run.folder import RunFolder
from tui.panels.curve import Curve
from tui.panels.log import LogPanel
from tui.panels.panel import Panel
from tui.screens.places import Panels, Regions
from tui.screens.repaint import CroppingCompositor
from tui.theme import METHOD_NAMES
from tui.wizard import Wizard, wizard_of


class RunScreen(Screen[None]):
    """Panels in `#panels` on one run. A panel's key focuses it, a hidden one too; pressed again, it maximises it."""

    AUTO_FOCUS = ""
    HELP_TEXT: ClassVar[str] = ""

    panels = query_one(Panels)

    def __init__(self) -> None:
        super().__init__()
        self._compositor = CroppingCompositor()
        self._hidden: set[str] = set()
        self._maximised: Panel | None = None

    def places(self, size: Size, shown: Sequence[str]) -> Regions:
        """The regions of the panels that are shown."""
        raise NotImplementedError

    def action_panel(self, key: str) -> None:
        """Go to the panel with this key."""
        for panel in self.query(Panel):
            if panel.key == key:
                self._hidden.discard(panel.id or "")
                if panel is self.focused:  # `has_focus` changes later, and the same key may come again at once
                    self.action_maximise()
                else:
                    self._show(panel if self._maximised else None)
                self.set_focus(panel)  # at once: a key that comes right after it is the panel's

    def action_maximise(self) -> None:
        """Give the panel in focus (the first if none is) all the room, or show the others again."""
        shown = [panel for panel in self.query(Panel) if panel.display]
        chosen = self.focused if isinstance(self.focused, Panel) else shown[0]
        self._show(None if self._maximised else chosen)

    def action_hide(self) -> None:
        """Hide the panel in focus; the last one stays."""
        panel = self.focused
        if isinstance(panel, Panel) and len(self._hidden) + 1 < len(self.query(Panel)):
            self._hidden.add(panel.id or "")
            self.set_focus(None)
            self._show(None)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """While a filter is typed, keys belong to it; hiding needs a panel in focus."""
        if isinstance(self.focused, LogPanel) and self.focused.is_typing:
            return action == "interrupt"
        return isinstance(self.focused, Panel) == (action == "hide") if "hide" in action else True

    def action_turn_chart(self, by: int) -> None:
        """Draw the next quantity over steps, or the one before: loss, learning rate, gradient norm ..."""
        for curve in self.query(Curve):
            curve.turn(by)

    def action_hide_which(self) -> None:
        """Say that no panel is chosen yet."""
        self.notify("Choose a panel with its number first; h then hides it.")

    def action_restore(self) -> None:
        """Show all panels, none in focus; if they are, go back to the screen that opened the run."""
        if self.focused is None and self._maximised is None and not self._hidden:
            self.go_back()
        self._hidden.clear()
        self._show(None)
        self.set_focus(None)

    def go_back(self) -> None:
        """To the previous screen, if there is one."""
        self.wizard.go_back()

    @property
    def wizard(self) -> Wizard:
        """The app, as far as screens know it."""
        return wizard_of(self.app)

    def _show(self, maximised: Panel | None) -> None:
        """This panel alone, or all that are not hidden."""
        self._maximised = maximised
        for panel in self.query(Panel):
            panel.display = panel is maximised if maximised else panel.id not in self._hidden
            panel.redraw()
        self.panels.refresh(layout=True)

    def action_help(self) -> None:
        """What is on the screen, and the keys."""
        from tui.screens.help import HelpScreen

        self.app.push_screen(HelpScreen(self, self.about))

    @property
    def about(self) -> str:
        """The help text of the screen."""
        return self.HELP_TEXT


def panel_keys(count: int, *, all_shown: bool = True) -> list[BindingType]:
    """The bindings of a screen with `count` panels; the footer shows their keys as one, and `m` if it has room."""
    return [
        Binding("1", "panel('1')", "panels", key_display=f"1-{count}"),
        *(Binding(f"{i}", f"panel('{i}')", f"panel {i}", show=False) for i in range(2, count + 1)),
        Binding("right_square_bracket", "turn_chart(1)", "next chart", key_display="]", show=False),
        Binding("left_square_bracket", "turn_chart(-1)", "previous chart", key_display="[", show=False),
        Binding("m", "maximise", "maximise", show=all_shown),
        Binding("h", "hide", "hide", show=all_shown),
        Binding("h", "hide_which", "hide", show=False),
        Binding("f1,question_mark", "help", "help", key_display="?"),
        Binding("escape", "restore", "all panels, then back", show=False),
    ]


def run_title(folder: RunFolder) -> str:
    """`demo · QLoRA`; the folder's name if its plan can't be read."""
    try:
        job = folder.job()
    except UserError:
        return folder.name
    return f"{Path(job.model).name} · {METHOD_NAMES[job.plan.method]}"
