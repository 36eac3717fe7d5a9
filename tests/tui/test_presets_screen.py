"""The presets' screen: what is shown of each, and start, copy, edit, delete by keys."""

from __future__ import annotations

from typing import Any

import pytest
from textual.events import Key
from textual.widgets import Static, TextArea

from backend import paths, presets
from backend.answers import Answers
from tests.tui import box, fixed
from tests.tui.nasty import NASTY
from tui.app import WizardApp
from tui.screens.confirm import Confirm
from tui.screens.hardware import HardwareScreen
from tui.screens.preset_editor import PresetEditor
from tui.screens.presets import PresetsScreen
from tui.widgets.picklist import PickList
from tui.widgets.preview import Preview

SIZES = [(80, 24), (120, 40), (200, 50)]
MINE = """# what worked in May
description = "support"
method = "qlora"
rank = 64  # 128 was no better

[job]
shift = "deep"
"""


def own(name: str, text: str) -> None:
    (paths.own_presets() / f"{name}.toml").write_text(text)


def wizard() -> WizardApp:
    return box.at("goal", compare=fixed.compare, outlook=fixed.outlook)


async def opened(pilot: Any, name: str = "") -> PresetsScreen:
    """The screen with the preset `name` highlighted."""
    await box.settled(pilot)
    await pilot.press("ctrl+o")
    await box.settled(pilot)
    screen = pilot.app.screen
    assert isinstance(screen, PresetsScreen)
    labels = [choice.label for choice in screen.query_one(PickList)._choices]
    await pilot.press(*["down"] * (labels.index(name) if name else 0))
    await pilot.pause()
    return screen


def text_of(screen: PresetsScreen) -> str:
    widget = screen.query_one(Preview)
    return "\n".join(
        "".join(x.text for x in strip)
        for strip in widget.query("Prose").first().render_lines(widget.query("Prose").first().size.region)
    )


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_presets(size: tuple[int, int], snap_compare: Any) -> None:
    own("mine", MINE)
    own("broken", "# a try\nrnak = 64\n")

    async def show(pilot: Any) -> None:
        await opened(pilot)

    assert snap_compare(wizard(), terminal_size=size, run_before=show)


def test_editor(snap_compare: Any) -> None:
    own("mine", MINE)

    async def wrong(pilot: Any) -> None:
        await opened(pilot, "mine")
        await pilot.press("e", "down", "down", "down", "home", "x", "ctrl+s")
        pilot.app.screen.query_one(TextArea).cursor_blink = False

    assert snap_compare(wizard(), terminal_size=(80, 24), run_before=wrong)


async def test_enter_starts_the_wizard_from_it_and_the_review_says_so() -> None:
    own("mine", MINE)
    app = box.at("goal")
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, "mine")
        await pilot.press("enter")
        await box.settled(pilot)
        assert isinstance(app.screen, HardwareScreen)
        assert len(app.screen_stack) == 2
        assert app.journey.answers.shift == "deep"
        assert app.journey.answers.data == "support.jsonl", "what the preset does not say stays"
        await box.to_step(pilot, "review")
        estimate = app.journey.comparison().methods[app.journey.chosen()]
        assert (estimate.method, estimate.plan.rank, estimate.origin["rank"]) == ("qlora", 64, "preset mine")
        assert "fttui train mine --method qlora" in str(app.screen.query_one("#command", Static).content)


async def test_the_cursor_goes_to_the_copy_which_can_be_edited() -> None:
    app = wizard()
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot, "solo-qlora")
        await pilot.press("c", "enter")
        await box.settled(pilot)
        choice = screen.query_one(PickList).choice
        assert choice is not None and choice.label == "my-solo-qlora"
        assert "my-solo-qlora" in box.said(app)
        await pilot.press("e")
        await pilot.pause()
        assert isinstance(app.screen, PresetEditor)


async def test_a_preset_of_another_box_says_in_the_review_what_changed() -> None:
    there = box.at("review")
    there.plan_for("A100-80GB")
    comparison = there.journey.comparison()
    presets.save("mine", "", Answers(), comparison.methods["lora"], comparison.device.label)
    app = box.at("review")
    app.journey.start_from(presets.load("mine"))
    async with app.run_test(size=(120, 40)) as pilot:
        await box.settled(pilot)
        summary = str(app.screen.query_one("#summary", Static).content)
    assert "was made for A100" in summary and "instead of" in summary


async def test_c_copies_a_shipped_one_and_e_edits_the_copy_with_its_comments() -> None:
    app = wizard()
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot, "solo-qlora")
        assert screen.check_action("edit", ()) is False
        await pilot.press("c", "enter")
        await pilot.pause()
        text = presets.load("my-solo-qlora").path.read_text()
        assert "# 1e-4 above 30B (QLoRA paper)" in text
        await pilot.press("home", *["up"] * 9, "e")
        await pilot.pause()
        assert isinstance(app.screen, PresetEditor)
        area = app.screen.query_one(TextArea)
        area.text = text.replace("rank = 16", "rank = 8  # smaller")
        await pilot.press("ctrl+s")
        await pilot.pause()
        assert isinstance(app.screen, PresetsScreen)
    assert presets.load("my-solo-qlora").plan["rank"] == 8
    assert "rank = 8  # smaller" in presets.load("my-solo-qlora").path.read_text()


async def test_an_invalid_preset_is_not_written_and_the_cursor_goes_to_its_line() -> None:
    own("mine", MINE)
    app = wizard()
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, "mine")
        await pilot.press("e")
        await pilot.pause()
        app.screen.query_one(TextArea).text = MINE.replace("64", "-64")
        await pilot.press("ctrl+s")
        note = str(app.screen.query_one("#editor-note", Static).content)
        assert "line 4" in note and "rank" in note
        assert app.screen.query_one(TextArea).cursor_location[0] == 3
        await pilot.press("escape", "n")
        assert isinstance(app.screen, PresetEditor)
        await pilot.press("escape", "y")
        await pilot.pause()
        assert isinstance(app.screen, PresetsScreen)
    assert presets.load("mine").plan["rank"] == 64


async def test_a_broken_one_is_shown_with_line_and_reason_and_can_be_fixed_or_deleted() -> None:
    own("broken", "# a try\nrnak = 64\n")
    app = wizard()
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot, "broken")
        shown = text_of(screen)
        assert "line 2: there is no plan field 'rnak'; did you mean" in shown
        assert "❯ 2 rnak = 64" in shown
        assert screen.check_action("start", ()) is False
        await pilot.press("enter")
        assert app.screen is screen
        await pilot.press("d", "y")
        await pilot.pause()
    assert "broken" not in presets.names()


async def test_nasty_files_are_shown_plain_and_not_edited_here() -> None:
    own("nasty", "# " + " ".join(NASTY.values()).encode("utf-8", "replace").decode().replace("\r", " "))
    app = wizard()
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot, "nasty")
        assert "\x1b" not in text_of(screen)
        await pilot.press("e")
        assert app.screen is screen
        assert "control characters" in box.said(app)


@pytest.mark.parametrize("keys", [["e"], ["d", "y"]], ids="-".join)
async def test_a_preset_that_was_deleted_elsewhere_is_said(keys: list[str]) -> None:
    own("mine", MINE)
    app = wizard()
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot, "mine")
        (paths.own_presets() / "mine.toml").unlink()
        await pilot.press(*keys)
        await pilot.pause()
        assert app.screen is screen
        assert [said.severity for said in app.said] == ["error"] and "mine" in app.said[0].text


async def test_an_own_file_with_a_shipped_name_is_not_deleted_here_and_says_so() -> None:
    own("demo", MINE)
    app = wizard()
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot, "demo")
        await pilot.press("d", "y")
        await pilot.pause()
        assert app.screen is screen and "'demo' is a shipped preset" in app.said[0].text


@pytest.mark.parametrize(("key", "asks"), [("ctrl+s", False), ("escape", True)])
async def test_what_was_typed_just_before_saving_or_leaving_counts(key: str, asks: bool) -> None:
    own("mine", MINE)
    app = wizard()
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot, "mine")
        await pilot.press("e")
        await pilot.pause()
        for each in (Key("number_sign", "#"), Key("y", "y"), Key(key, None)):  # in one go, as on a slow connection
            app.post_message(each)
        await pilot.pause()
        await pilot.pause()
        if asks:
            assert isinstance(app.screen, Confirm)
        else:
            assert app.screen is screen
            assert (paths.own_presets() / "mine.toml").read_text() == "#y" + MINE
