"""The command palette: every command that works on the screen, in groups, with those chosen before at the top."""

from __future__ import annotations

from typing import Any

from tests.tui import box, fixed
from tui.app import WizardApp
from tui.screens.compare import CompareScreen
from tui.screens.palette import RECENT, Command, Palette, ordered
from tui.screens.runs import RunsScreen
from tui.widgets.picklist import Choice, PickList


def listed(app: WizardApp) -> list[Choice]:
    assert isinstance(app.screen, Palette)
    return app.screen.query_one(PickList)._choices


async def chosen(pilot: Any, *keys: str) -> None:
    await pilot.press("ctrl+p")
    await box.settled(pilot)
    await pilot.press(*keys, "enter")
    await box.settled(pilot)


async def test_commands_are_in_groups_and_those_chosen_before_come_first() -> None:
    app = box.at("compare", compare=fixed.compare)
    async with app.run_test(size=(80, 24)) as pilot:
        await box.settled(pilot)
        await pilot.press("ctrl+p")
        await box.settled(pilot)
        groups = list(dict.fromkeys(choice.group for choice in listed(app)))
        assert groups == ["this screen", "go to", "fttui"]
        own = [choice.label for choice in listed(app) if choice.group == "this screen"]
        assert own[0] == "Method" and "Another GPU" in own and "Batch and length that fit" in own
        assert "Complete, or next field" not in own, "what makes sense as a key only"
        await pilot.press("escape")
        assert isinstance(app.screen, CompareScreen)
        await chosen(pilot, *"more ep")
        assert app.journey.answers.epochs == 4.0
        await chosen(pilot, *"longer")
        await pilot.press("ctrl+p")
        await box.settled(pilot)
        first = [(choice.group, choice.label) for choice in listed(app)][:2]
        assert first == [(RECENT, "Longer"), (RECENT, "More epochs")]
        assert [choice.label for choice in listed(app)].count("Longer") == 1


async def test_another_screen_is_opened_and_its_own_commands_are_listed_there() -> None:
    app = box.at("compare", compare=fixed.compare)
    async with app.run_test(size=(80, 24)) as pilot:
        await box.settled(pilot)
        await chosen(pilot, *"runs")
        assert isinstance(app.screen, RunsScreen)
        await pilot.press("ctrl+p")
        await box.settled(pilot)
        assert "Compare" in {choice.label for choice in listed(app)}
        assert "Longer" not in {choice.label for choice in listed(app)}


async def test_a_double_click_is_an_enter() -> None:
    app = box.at("compare", compare=fixed.compare)
    async with app.run_test(size=(80, 24)) as pilot:
        await box.settled(pilot)
        await pilot.press("ctrl+p", *"runs")
        await box.settled(pilot)
        await pilot.click(PickList, offset=(20, 0), times=2)
        await box.settled(pilot)
        assert isinstance(app.screen, RunsScreen)


def test_what_does_not_work_on_this_screen_is_not_among_the_recent_ones() -> None:
    commands = [Command("go to", "Runs", "", lambda: None), Command("fttui", "Theme", "", lambda: None)]
    shown = [(x.group, x.label) for x in ordered(commands, ["Longer", "Theme"])]
    assert shown == [
        (RECENT, "Theme"),
        ("go to", "Runs"),
    ]
