"""Long work says what it does and how far it is: in the header, in the chart's place, in the title, as lines."""

from __future__ import annotations

from typing import Any

import pytest

from backend.run.event_log import EventLog
from backend.run.events import AnyEvent, PhaseProgress, PhaseStarted
from backend.run.folder import RunFolder
from backend.run.history import read
from tests.tui.stage import Stage
from tests.tui.story import START, Story, make_run, tell
from tests.tui.test_live_screen import Living, utc
from tui.event_lines import EventLines
from tui.panels import words
from tui.panels.curve import Curve
from tui.panels.health import HealthLine
from tui.panels.progress import ProgressPanel
from tui.screens.live import LiveScreen

__all__ = ["utc"]


def add(folder: RunFolder, *events: AnyEvent) -> None:
    log = EventLog(folder.events_file)
    for event in events:
        log.write(event)
    log.close()


def text_of(widget: Any) -> str:
    return " ".join(widget.render_line(y).text for y in range(widget.size.height))


async def test_loading_says_how_many_weights_and_what_the_log_said_last() -> None:
    folder = make_run()
    at = tell(folder, list(Story().begin())[:4])
    add(folder, PhaseProgress(t=at, what="weights", done=120, total=272))
    app = Stage(LiveScreen(folder, Living(folder), clock=lambda: at + 9))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert "loading the model, 120 of 272 weights 10 s" in text_of(app.screen.query_one(ProgressPanel))
        shown = text_of(app.screen.query_one(Curve))
        assert "120 of 272 weights · 10 s" in shown and "4,800 rows, 1.9 M" in shown
        assert app.title_shown == "loading the model, 120 of 272 weights - llama-3.1-8b · QLoRA"


async def test_an_evaluation_within_the_run_says_how_far_it_is() -> None:
    folder, story = make_run(), Story()
    at = tell(folder, story.begin(), story.steps(400))
    add(folder, PhaseStarted(t=at, name="eval"), PhaseProgress(t=at + 1, what="rows", done=64, total=240))
    app = Stage(LiveScreen(folder, Living(folder), clock=lambda: at + 2))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert "evaluating, 64 of 240 rows" in text_of(app.screen.query_one(HealthLine))


def test_another_phase_begins_without_progress() -> None:
    folder = make_run()
    add(folder, PhaseStarted(name="load"), PhaseProgress(what="weights", done=3))
    past = read(folder.events_file)
    assert words.progress(past) == "3 weights", "of how many is not known"
    add(folder, PhaseStarted(name="eval"))
    past.poll()
    assert words.phase_and_progress(past) == "first evaluation"


@pytest.mark.parametrize(("seconds", "lines"), [(1.0, 3), (11.0, 20)])
def test_as_plain_lines_it_is_said_every_ten_seconds(seconds: float, lines: int) -> None:
    out = EventLines()
    said = [
        line
        for done in range(20)
        for line in out.feed(PhaseProgress(t=START + seconds * done, what="weights", done=done, total=272))
    ]
    assert len(said) == (2 if lines == 3 else lines)
    assert said[0].endswith("0 of 272 weights")
