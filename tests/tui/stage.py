"""An app with nothing but a run's screens, for tests and for looking at them.

python -m tests.tui.stage live [STEPS]      the live screen on a made-up run that grows as you watch
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from textual.app import App
from textual.screen import Screen

from backend.run.events import EventLog
from tests.tui.story import START, Story, make_run, tell
from tui import theme
from tui.screens.live import LiveScreen


class Stage(App[str]):
    """Our themes around one screen."""

    CSS_PATH = Path(theme.__file__).with_name("style.tcss")

    def __init__(self, screen: Screen[Any] | None) -> None:
        super().__init__()
        self._first = screen

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return theme.defaults(self.current_theme.ansi)

    def on_mount(self) -> None:
        for own in theme.THEMES:
            self.register_theme(own)
        self.theme = theme.DARK
        if self._first is not None:
            self.push_screen(self._first)


def live(upto: int) -> None:
    """Four steps a second from `upto` on; clocks run as if it had started now."""
    folder = make_run()
    story = Story()
    tell(folder, story.begin(), story.steps(upto))
    shift = START + 66 + upto * story.step_seconds - time.time()
    log, later = EventLog(folder.events_file), story.steps(story.total_steps)
    for _, _event, fields in later:
        if fields.get("step") == upto + 1:
            break

    def more() -> None:
        for at, event, fields in later:
            log.write(event, t=START + at, **fields)
            if event == "step":
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
