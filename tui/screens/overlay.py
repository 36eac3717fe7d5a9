"""Two to four runs of this box in one chart."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.geometry import Size

from backend.run.folder import RunFolder
from backend.run.history import read
from tui.panels.lines import Lines
from tui.panels.overlay import NAMES, STYLES, Differences, OverlayCurve
from tui.panels.panel import Clock, Panel, fitted
from tui.plain import plain
from tui.run_diff import differences
from tui.screens import places
from tui.screens.places import Panels, Regions
from tui.screens.run_screen import RunScreen, panel_keys, run_title
from tui.widgets.foot import Foot


class _Names(Lines):
    """Which run is A, which is B ..."""

    def __init__(self, folders: Sequence[RunFolder]) -> None:
        super().__init__(id="names")
        self._folders = folders

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """A line each."""
        return len(self._folders)

    def on_resize(self) -> None:
        """For the new width."""
        lines = (
            (
                (f" {letter} ", style),
                (plain(f"{run_title(folder)}  ", lines=False), "strong"),
                (plain(folder.name, lines=False), "faint"),
            )
            for letter, style, folder in zip(NAMES, STYLES, self._folders, strict=False)
        )
        self.set_rows(fitted(line, self.size.width) for line in lines)


class OverlayScreen(RunScreen):
    """Curves and differing settings. Reads both runs once."""

    CSS_PATH = "overlay.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "restore", "back", key_display="Esc"),
        *panel_keys(2),
    ]
    HELP_TEXT: ClassVar[str] = (
        "The average losses of the runs over their steps, A solid and the others with gaps, evaluations on held-out "
        "rows with a mark of each run. Next to them, every result and every setting that differs."
    )

    def __init__(self, folders: Sequence[RunFolder], *, clock: Clock = time.time) -> None:
        super().__init__()
        self._folders = folders
        self._clock = clock

    def compose(self) -> ComposeResult:
        """Names, curve, differences, keys."""
        histories = [read(folder.events_file) for folder in self._folders]
        yield _Names(self._folders)
        with Panels(self.places):
            yield OverlayCurve(histories, self._clock, id="curve")
            yield Differences(histories[0], differences(self._folders, histories), self._clock, id="differences")
        yield Foot()

    def on_mount(self) -> None:
        """Draw once."""
        for panel in self.query(Panel):
            panel.redraw()

    def places(self, size: Size, shown: Sequence[str]) -> Regions:
        """Side by side if there is room, else one above the other."""
        return places.overlay(size, shown)
