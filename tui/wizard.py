"""What a screen may ask of the app that shows it. Screens know this; the app knows the screens."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from textual.app import App

    from backend.plan.job import Job
    from backend.plan.preset import Preset
    from backend.run.folder import RunFolder
    from tui.journey import Boxes, Journey

STOPPING = "stopping"
"""What a screen gives to `App.exit` after it asked the trainer to stop; with any other result the run continues."""


class Wizard(Protocol):
    """`tui.app.WizardApp`, as the screens see it."""

    journey: Journey
    """What was answered so far."""
    clock: Callable[[], float]
    """Time in seconds, by which several presses of Enter in a row are told from a single one."""

    def answered(self) -> dict[str, str]:
        """The short answer to each step so far, for the rail."""

    def go_on(self) -> None:
        """To the next step."""

    def go_back(self) -> None:
        """To the previous screen."""

    def go_back_to(self, step: str) -> None:
        """To an earlier step."""

    def plan_for(self, gpu: str, boxes: Boxes | None = None) -> None:
        """Plan for `gpu` (empty: this box) in `boxes`; by default the same boxes as before, or one if the GPU changes.

        Raises UserError for an unknown name, and for boxes that can't be planned for.
        """

    def prepare_demo(self) -> None:
        """Convert the demo model in the background if it is likely to be used."""

    def start(self, job: Job) -> None:
        """Start training `job` and show it. Raises UserError if a run is already training."""

    def start_from(self, preset: Preset) -> None:
        """Restart the wizard from `preset`."""

    def start_over(self) -> None:
        """Restart the wizard with the same answers."""

    def open_run(self, folder: RunFolder) -> None:
        """Show a run of this box."""

    @property
    def is_terminal_behind(self) -> bool:
        """Whether the terminal has not taken the last frame yet."""

    def show_in_title(self, text: str) -> None:
        """Show `text` in the terminal's title."""

    def say_at_end(self, text: str) -> None:
        """Ring the bell and notify the desktop, as the settings ask."""


def wizard_of(app: App[Any]) -> Wizard:
    """`app` as a wizard, which shows every screen (in tests, some are shown by an app with only what they use)."""
    return cast("Wizard", app)
