"""An app with nothing but a run's screens, for tests and for looking at them.

python -m tests.tui.stage live [STEPS]      the live screen on a made-up run that grows as you watch
"""

from __future__ import annotations

import sys
import tempfile
import time
from typing import Any

from msgspec.structs import replace
from textual.screen import Screen

from backend.run.event_log import EventLog
from backend.run.events import StepDone
from backend.settings import Settings
from tests.tui.story import START, Story, make_run, tell
from tui import theme
from tui.look import LookApp
from tui.screens.live import LiveScreen


class Stage(LookApp):
    """fttui's look around one screen."""

    def __init__(self, screen: Screen[Any] | None, *, ascii: bool | None = False) -> None:
        super().__init__(Settings(theme=theme.DARK), ascii=ascii)
        self.preferred_theme = theme.DARK
        self._first = screen

    def on_mount(self) -> None:
        if self._first is not None:
            self.push_screen(self._first)


def live(upto: int) -> None:
    """Four steps a second from `upto` on; clocks run as if it had started now."""
    folder = make_run()
    story = Story()
    tell(folder, story.begin(), story.steps(upto))
    shift = START + 66 + upto * story.step_seconds - time.time()
    log, later = EventLog(folder.events_file), story.steps(story.total_steps)
    for _, event in later:
        if isinstance(event, StepDone) and event.step == upto + 1:
            break

    def more() -> None:
        for at, event in later:
            log.write(replace(event, t=START + at))
            if isinstance(event, StepDone):
                return

    screen = LiveScreen(folder, clock=lambda: time.time() + shift)
    app = Stage(screen)
    with folder.hold():
        app.call_later(lambda: app.set_interval(0.25, more))
        app.run()


if __name__ == "__main__":
    import os

    os.environ["FTTUI_HOME"] = tempfile.mkdtemp()
    live(int(sys.argv[2]) if len(sys.argv) > 2 else 1200)
