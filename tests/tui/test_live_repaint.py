"""What the live screen sends to the terminal: little, and exactly what changed."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from rich.cells import cell_len
from textual.drivers.headless_driver import HeadlessDriver

from backend.run.events import StepDone
from backend.run.history import read
from tests.tui.stage import Stage
from tests.tui.story import START, Story, Telling, make_run, tell
from tests.tui.test_live_screen import Living
from tui.screens.live import TICKS_PER_SECOND, LiveScreen

_SEQUENCE = re.compile(r"\x1b\[(\d+);(\d+)H|\x1b\[[\d;?]*[A-Za-z]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|(\n)|([^\x1b\n]+)")


class Emulator:
    """The part of a terminal that Textual's updates need."""

    def __init__(self, columns: int, lines: int) -> None:
        self.cells = [[" "] * columns for _ in range(lines)]
        self._x = self._y = 0

    def feed(self, data: str) -> None:
        for match in _SEQUENCE.finditer(data):
            line, column, newline, text = match.groups()
            if line:
                self._y, self._x = int(line) - 1, int(column) - 1
            elif newline:
                self._y, self._x = self._y + 1, 0
            elif text:
                self._put(text)

    def _put(self, text: str) -> None:
        for character in text:
            width = cell_len(character)
            self.cells[self._y][self._x] = character
            for x in range(self._x + 1, self._x + width):
                self.cells[self._y][x] = ""
            self._x += width

    @property
    def text(self) -> list[str]:
        return ["".join(row) for row in self.cells]


def ticks(folder_steps: Iterator[Telling]) -> Iterator[list[Telling]]:
    """The story in parts that end with a step."""
    part: list[Telling] = []
    for telling in folder_steps:
        part.append(telling)
        if isinstance(telling[1], StepDone):
            yield part
            part = []


@pytest.mark.parametrize(("size", "most_per_second"), [((80, 24), 1500), ((200, 50), 2500)])
async def test_updates_are_small_and_add_up_to_the_screen(
    size: tuple[int, int], most_per_second: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal, sent = Emulator(*size), 0

    def write(_driver: HeadlessDriver, data: str) -> None:
        nonlocal sent
        sent += len(data.encode())
        terminal.feed(data)

    monkeypatch.setattr(HeadlessDriver, "write", write)
    monkeypatch.setattr(HeadlessDriver, "is_headless", False)
    folder, story = make_run(), Story()
    parts = ticks(story.steps(1300))
    begin = [telling for _ in range(1200) for telling in next(parts)]
    now = tell(folder, story.begin(), begin)
    app = Stage(LiveScreen(folder, Living(folder), clock=lambda: now))
    async with app.run_test(size=size) as pilot:
        screen = app.screen
        assert isinstance(screen, LiveScreen)
        await pilot.pause()
        sent, count = 0, 60
        for _ in range(count):
            now = tell(folder, next(parts))
            screen.tick()
            await pilot.pause()
        assert terminal.text == [strip.text for strip in screen._compositor.render_strips()]
        assert any("1,260" in line for line in terminal.text)
    assert sent * TICKS_PER_SECOND / count < most_per_second
    assert read(folder.events_file).step == 1260
    assert now > START
