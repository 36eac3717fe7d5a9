"""Below 70x20 the screen only says that it is too small; a resize brings back what was there."""

from __future__ import annotations

import pytest
from textual.widgets import Static

from tests.tui import box
from tests.tui.story import Story, make_run, tell
from tui.app import WizardApp
from tui.screens.live import LiveScreen
from tui.screens.model import ModelScreen
from tui.screens.too_small import TooSmall


def said(app: WizardApp) -> str:
    return str(app.screen.query_one(Static).render())


def painted(app: WizardApp) -> str:
    """All text that the terminal shows."""
    lines = ("".join(x.text for x in strip).strip() for strip in app.screen._compositor.render_strips())
    return "\n".join(line for line in lines if line)


@pytest.mark.parametrize("size", [(69, 24), (80, 19), (20, 5)])
async def test_too_small_is_said_with_what_is_needed(size: tuple[int, int]) -> None:
    app = box.app()
    async with app.run_test(size=size) as pilot:
        await box.settled(pilot)
        assert isinstance(app.screen, TooSmall)
        assert f"too small: {size[0]}x{size[1]}" in said(app) and "needs 70x20" in said(app)


async def test_the_smallest_size_shows_the_wizard_and_a_resize_brings_it_back() -> None:
    app = box.app()
    async with app.run_test(size=(70, 20)) as pilot:
        await box.to_step(pilot, "model")
        await pilot.press(*"qwen")
        before = app.screen
        await pilot.resize_terminal(60, 20)
        await pilot.pause()
        assert isinstance(app.screen, TooSmall)
        assert painted(app) == said(app), "and nothing shines through"
        await pilot.press("x")
        await pilot.resize_terminal(80, 24)
        await pilot.pause()
        assert app.screen is before and isinstance(before, ModelScreen)


async def test_a_run_that_is_too_small_to_show_says_how_far_it_is() -> None:
    folder, story = make_run(), Story(total_steps=100)
    tell(folder, story.begin(), story.steps(33))
    app = box.app()
    with folder.hold():
        async with app.run_test(size=(80, 24)) as pilot:
            await box.settled(pilot)
            app.push_screen(LiveScreen(folder))
            await pilot.pause(0.5)
            await pilot.resize_terminal(40, 12)
            await pilot.pause()
            assert "33 %" in said(app)
            await pilot.press("q")
        assert app.return_code == 0
