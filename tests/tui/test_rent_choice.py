"""The list of GPUs to rent over the compare screen: it fits, arrows move, Enter plans for one, Esc changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.plan.preset import Preset
from tests.tui import box
from tui.screens.compare import CompareScreen
from tui.screens.rent_choice import RentChoice
from tui.widgets.picklist import PickList
from tui.widgets.prose import Prose


@pytest.mark.parametrize("size", [(70, 20), (80, 24), (200, 50)])
async def test_the_list_opens_on_the_planned_gpu_and_fits(size: tuple[int, int]) -> None:
    app = box.at("compare")
    async with app.run_test(size=size) as pilot:
        await box.settled(pilot)
        await pilot.press("dollar_sign")
        await box.settled(pilot)
        screen = app.screen
        assert isinstance(screen, RentChoice)
        lines = screen.query_one(PickList)
        assert lines.choice is not None and lines.choice.value == "RTX 4090"
        assert max(map(len, lines.render().plain.splitlines())) <= lines.size.width
        assert screen.query_one("#rent").region.bottom <= size[1]
        assert "  method" in str(screen.query_one("#rent-head").render())
        about = screen.query_one(Prose).render().plain
        assert "QLoRA on RTX 4090 takes" in about and "$0.45 per GPU-hour: Vast" in about
        await pilot.press("end")
        await pilot.pause()
        assert "No dated price" in screen.query_one(Prose).render().plain


async def test_enter_plans_for_it_at_its_own_price_and_esc_changes_nothing() -> None:
    app = box.at("compare")
    async with app.run_test(size=(80, 24)) as pilot:
        await box.settled(pilot)
        app.journey.answer(price_usd_per_hour=0.0)
        before = app.journey.answers
        await pilot.press("dollar_sign")
        await box.settled(pilot)
        await pilot.press("down", "escape")
        await box.settled(pilot)
        assert isinstance(app.screen, CompareScreen) and app.journey.answers == before
        await pilot.press("dollar_sign")
        await box.settled(pilot)
        await pilot.press("home", "enter")
        await box.settled(pilot)
        assert isinstance(app.screen, CompareScreen)
        assert app.journey.answers.gpu == app.journey.comparison().device.name != "RTX 4090"
        assert app.journey.answers.price_usd_per_hour is None
        cost = app.journey.comparison().methods["lora"].cost_usd
        assert cost is not None and cost.point > 0


async def test_enter_before_the_list_is_there_does_nothing() -> None:
    app = box.at("compare", offers=lambda answers, model, data, start: ())
    async with app.run_test(size=(80, 24)) as pilot:
        await box.settled(pilot)
        await pilot.press("dollar_sign", "enter")
        await box.settled(pilot)
        assert isinstance(app.screen, RentChoice)


async def test_the_preset_of_the_wizard_applies_to_every_gpu() -> None:
    asked: list[tuple[object, ...]] = []

    def offers(*given: object) -> tuple[()]:
        asked.append(given)
        return ()

    app = box.at("compare", offers=offers)
    async with app.run_test(size=(80, 24)) as pilot:
        await box.settled(pilot)
        preset = Preset("mine", "", {"rank": 64}, {}, Path("mine.toml"), False)
        app.journey.start_from(preset)
        await pilot.press("dollar_sign")
        await box.settled(pilot)
    assert asked[0][3:] == (preset,)


async def test_with_several_boxes_it_says_that_single_ones_are_compared_and_takes_one() -> None:
    app = box.at("compare")
    async with app.run_test(size=(80, 24)) as pilot:
        await box.settled(pilot)
        app.plan_for("RTX 4090", (2, 25.0))
        await pilot.press("dollar_sign")
        await box.settled(pilot)
        assert "one box, not 2" in str(app.screen.query_one("#rent").border_title)
        lines = app.screen.query_one(PickList)
        assert lines.choice is not None and lines.choice.value == "RTX 4090"
        await pilot.press("enter")
        await box.settled(pilot)
        assert app.journey.comparison().device.nodes == 1
