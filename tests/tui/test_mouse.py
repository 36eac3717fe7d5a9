"""What keys do, the mouse does too: clicks on steps, columns, keys, rows and panels, and the wheel."""

from __future__ import annotations

from textual import events
from textual.widgets import DataTable

from tests.tui import box
from tests.tui.stage import Stage
from tests.tui.story import Story, finish, make_run, tell
from tests.tui.test_live_screen import run_at, utc
from tui.panels.curve import Curve
from tui.panels.log import LogPanel
from tui.panels.panel import Panel
from tui.screens.compare import CompareScreen
from tui.screens.gpu_choice import GpuChoice
from tui.screens.launch_choice import LaunchChoice
from tui.screens.live import LiveScreen
from tui.screens.result import ResultScreen
from tui.screens.runs import RunsScreen
from tui.widgets.picker import Picker

__all__ = ["utc"]


async def test_panels_are_focused_maximised_and_turned() -> None:
    folder, at = run_at("mid")
    app = Stage(LiveScreen(folder, clock=lambda: at))
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        await pilot.click("#log")
        assert isinstance(app.focused, LogPanel)
        await pilot.click("#memory", times=2)
        await pilot.pause()
        assert [panel.id for panel in app.screen.query(Panel) if panel.display] == ["memory"]
        await pilot.click("#memory", times=2)
        await pilot.pause()
        curve = app.screen.query_one(Curve)
        assert curve.display
        await pilot._post_mouse_events([events.MouseScrollDown], "#curve")
        await pilot.pause()
        assert curve.title == "Learning rate"


async def test_the_keys_of_the_compare_screen_are_clicked() -> None:
    app = box.at("compare")
    async with app.run_test(size=(80, 24)) as pilot:
        await box.settled(pilot)
        screen = app.screen
        assert isinstance(screen, CompareScreen)
        before = app.journey.comparison().methods["qlora"].plan
        line = str(screen.query_one("#what-if").render()).splitlines()[0]
        await pilot.click("#what-if", offset=(line.index("epochs") + 2, 0))
        assert app.journey.comparison().methods["qlora"].plan.epochs > before.epochs
        await pilot.click("#card-full")
        assert app.journey.chosen() == "full"
        await pilot.click("#what-if", offset=(line.index("GPU") + 2, 0))
        await box.settled(pilot)
        assert isinstance(app.screen, GpuChoice)


async def test_a_line_of_a_list_and_an_earlier_step_are_clicked() -> None:
    app = box.app()
    async with app.run_test(size=(80, 24)) as pilot:
        await box.to_step(pilot, "model")
        await box.settled(pilot)
        await pilot.click("PickList", offset=(4, 1))
        await box.settled(pilot)
        assert app.screen.query_one(Picker).value == "demo"
        await pilot.click("Rail", offset=(10, 0))
        await box.settled(pilot)
        assert getattr(app.screen, "STEP", "") == "hardware"


async def test_a_run_is_opened_by_a_click_on_the_one_under_the_cursor() -> None:
    folder, story = make_run(), Story(total_steps=40)
    finish(folder, tell(folder, story.begin(), story.steps(40)), "done")
    app = box.app()
    async with app.run_test(size=(80, 24)) as pilot:
        await box.settled(pilot)
        app.push_screen(RunsScreen())
        await box.settled(pilot)
        await pilot.click(DataTable, offset=(5, 1))
        await box.settled(pilot)
        assert isinstance(app.screen, ResultScreen)


async def test_a_double_click_on_a_line_of_a_list_takes_it() -> None:
    app = box.app()
    async with app.run_test(size=(80, 24)) as pilot:
        await box.to_step(pilot, "model")
        await box.settled(pilot)
        await pilot.click("PickList", offset=(4, 0), times=2)
        await box.settled(pilot)
        assert getattr(app.screen, "STEP", "") == "data"
        taken: list[str | None] = []
        app.push_screen(LaunchChoice(), taken.append)
        await box.settled(pilot)
        await pilot.click("LaunchChoice PickList", offset=(4, 1), times=2)
        await box.settled(pilot)
    assert taken == ["skypilot"]
