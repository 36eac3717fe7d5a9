"""What every step of the wizard has: the rail, the keys that are the same everywhere, next and back."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen

from backend.errors import UserError
from tui.journey import Journey
from tui.widgets.field import Field
from tui.widgets.foot import Foot
from tui.widgets.picker import Picker
from tui.widgets.rail import Rail
from tui.wizard import Wizard, wizard_of

_VAST = 150
"""Columns from which the style class `-vast` is set, beside `-wide`."""


class WizardStep(Screen[None]):
    """A step of the wizard. Subclasses set `STEP`, compose `body` and go to the next step in `proceed`."""

    STEP: ClassVar[str]
    HELP_TEXT: ClassVar[str] = ""
    AUTO_FOCUS: ClassVar[str | None] = None
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-short"), (32, "-tall")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "next", "next", key_display="Enter"),
        Binding("escape", "back", "back", key_display="Esc"),
        Binding("tab", "complete", "complete, or next field", show=False, priority=True),
        Binding("shift+tab", "app.focus_previous", "previous field", show=False, priority=True),
        Binding("f1,question_mark", "help", "help", key_display="F1"),
    ]

    def on_resize(self) -> None:
        """Very wide terminals show side by side what others show one above the other."""
        self.set_class(self.size.width >= _VAST, "-vast")

    def compose(self) -> ComposeResult:
        """Rail, body, footer."""
        yield Rail(self.STEP, self.wizard.answered())
        yield from self.body()
        yield Foot(palette=True)

    def body(self) -> ComposeResult:
        """What the step asks."""
        raise NotImplementedError

    def proceed(self) -> None:
        """Enter: check and store the answers, then go to the next step."""
        raise NotImplementedError

    def refreshed(self) -> None:
        """The step is shown (again): show what may have changed meanwhile."""

    @property
    def wizard(self) -> Wizard:
        """The app, as far as screens know it."""
        return wizard_of(self.app)

    @property
    def journey(self) -> Journey:
        """The wizard's state."""
        return self.wizard.journey

    def on_screen_resume(self) -> None:
        """Update the rail and the step, unless the screen is passed over while others above and below it are left."""
        if not self.is_current:
            return
        self.update_rail()
        self.refreshed()

    def update_rail(self) -> None:
        """Show in the rail what is answered now."""
        self.query_one(Rail).show(self.wizard.answered())

    def action_next(self) -> None:
        """Enter. If it is pressed several times, a screen that is being left ignores it."""
        if self.is_current:
            self.proceed()

    def action_complete(self) -> None:
        """Tab: complete a path or take the suggestion of an error; if there is neither, to the next field."""
        picker = next((x for x in self.query(Picker) if self.focused is x.query_one("Entry")), None)
        if picker is None or not picker.complete():
            self.app.action_focus_next()

    def on_input_submitted(self) -> None:
        """Enter in an entry."""
        self.action_next()

    def on_picker_submitted(self) -> None:
        """Enter in a picker."""
        self.action_next()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The first screen has no back."""
        return action != "back" or len(self.app.screen_stack) > 2

    def action_back(self) -> None:
        """Esc: the previous step; answers stay."""
        if self.is_current:
            self.wizard.go_back()

    def action_help(self) -> None:
        """Help for the field in focus and the keys of this screen."""
        from tui.screens.help import HelpScreen

        self.app.push_screen(HelpScreen(self, self.HELP_TEXT))

    def on_rail_wanted(self, event: Rail.Wanted) -> None:
        """A click on an earlier step goes back to it."""
        self.wizard.go_back_to(event.step)

    def complain(self, error: UserError, default: str) -> None:
        """Show `error` at its field, or at `default` if that field is not on this screen."""
        for name in (error.field, default):
            for widget in self.query(f"#picker-{name}, #row-{name}"):
                if isinstance(widget, Picker | Field):
                    widget.complain(str(error))
                    return
