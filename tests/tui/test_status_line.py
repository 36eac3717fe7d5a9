"""Messages, in the same place on every screen: they cover nothing, and disappear once they could be read."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from textual.widgets import Footer

from tests.tui import box, fixed
from tests.tui.stage import Stage
from tests.tui.test_live_screen import run_at, utc
from tui.look import LookApp
from tui.screens.live import LiveScreen
from tui.widgets.foot import StatusLine

__all__ = ["utc"]


@pytest.fixture
def read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LookApp, "READ_SECONDS", 0.0)


@pytest.mark.parametrize("size", [(80, 24), (200, 50)], ids=str)
@pytest.mark.parametrize("step", ["hardware", "goal", "compare", "review"])
async def test_a_message_covers_nothing(step: str, size: tuple[int, int]) -> None:
    app = box.at(step, compare=fixed.compare)
    async with app.run_test(size=size) as pilot:
        await box.settled(pilot)
        app.notify("something to know " * 8)
        await box.settled(pilot)
        line, keys = app.screen.query_one(StatusLine), app.screen.query_one(Footer)
        assert line.region.height > 1 or size[0] > 160
        assert keys.region.y == size[1] - 1 and line.region.bottom == keys.region.y
        foot = line.parent
        others = [x for x in app.screen.children if x is not foot and x.display]
        assert all(x.region.bottom <= line.region.y for x in others), [x.region for x in others]


async def test_the_live_screen_makes_room_for_it() -> None:
    folder, at = run_at("mid")
    app = Stage(LiveScreen(folder, clock=lambda: at))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("h")
        await box.settled(pilot)
        assert box.said(app).startswith("→ Choose a panel")
        assert app.screen.query_one("#log").region.bottom <= app.screen.query_one(StatusLine).region.y


async def test_it_stays_until_a_key_and_at_least_until_it_could_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    app = box.at("compare", compare=fixed.compare)
    async with app.run_test(size=(80, 24)) as pilot:
        await box.settled(pilot)
        app.notify("first", severity="error")
        await pilot.press("down", "down")
        assert box.said(app) == "✗ first", "keys that were typed ahead do not take it away"
        monkeypatch.setattr(LookApp, "READ_SECONDS", 0.0)
        await pilot.press("down")
        await pilot.pause()
        assert box.said(app) == ""


async def test_messages_that_come_together_are_both_there_and_later_ones_replace_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = box.at("compare", compare=fixed.compare)
    async with app.run_test(size=(80, 24)) as pilot:
        await box.settled(pilot)
        app.notify("one")
        app.notify("two", severity="warning")
        app.notify("one")
        await pilot.pause()
        assert box.said(app).split("\n") == ["! two", "→ one"]
        monkeypatch.setattr(LookApp, "READ_SECONDS", 0.0)
        app.notify("three")
        await pilot.pause()
        assert box.said(app) == "→ three"


@pytest.mark.parametrize(("severity", "stays"), [("information", False), ("warning", True), ("error", True)])
async def test_only_information_goes_by_itself(severity: Any, stays: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LookApp, "STAY_SECONDS", 0.05)
    app = box.at("compare", compare=fixed.compare)
    async with app.run_test(size=(80, 24)) as pilot:
        await box.settled(pilot)
        app.notify("x", severity=severity)
        await pilot.pause(0.2)
        assert bool(box.said(app)) == stays


@pytest.mark.usefixtures("read_at_once")
async def test_a_screen_that_is_opened_shows_what_was_said_before_it() -> None:
    app = box.at("compare", compare=fixed.compare)
    async with app.run_test(size=(80, 24)) as pilot:
        await box.settled(pilot)
        app.action_runs()
        app.notify("left to the planner again: rank 8")
        await box.settled(pilot)
        assert box.said(app) == "→ left to the planner again: rank 8"


async def test_a_worker_may_say_something() -> None:
    app = box.at("compare", compare=fixed.compare)
    async with app.run_test(size=(80, 24)) as pilot:
        await box.settled(pilot)
        thread = threading.Thread(target=lambda: app.notify("from\x1b[2J a thread", title="a\nb"))
        thread.start()
        thread.join()
        await box.settled(pilot)
        assert box.said(app).endswith(": from␛[2J a thread") and "\n" not in box.said(app)
