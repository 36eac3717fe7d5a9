"""Invalid answers are marked at their field, with the fix, and the focus stays there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from textual import events
from textual.widgets import Static

from tests.tui import box
from tui.screens.data import DataScreen
from tui.screens.goal import GoalScreen
from tui.screens.hardware import HardwareScreen
from tui.screens.model import ModelScreen
from tui.sources import Sources
from tui.widgets.choices import Choices
from tui.widgets.field import Field

SIZE = (80, 24)
REAL = Sources()


def error_of(screen: Any, owner: str) -> str:
    """The error below the field; empty if none is shown."""
    error = screen.query_one(f"{owner} > .error", Static)
    return str(error.render()) if error.display else ""


def made(folder: Path, case: str) -> tuple[Path, str]:
    """A file that can't be trained on, and words that its error must have."""
    path = folder / f"{case}.jsonl"
    if case == "missing":
        return path, "missing.jsonl"
    if case == "empty":
        path.write_bytes(b"")
        return path, "empty"
    if case == "binary":
        path.write_bytes(bytes(range(256)) * 20)
        return path, "binary"
    rows = [json.dumps({"prompt": f"p{i}", "completion": f"c{i}"}) for i in range(6)]
    rows[3] = '{"prompt": "half'
    path.write_text("\n".join(rows))
    return path, "4"


@pytest.mark.parametrize("case", ["missing", "empty", "binary", "broken"])
async def test_bad_data_is_marked_in_place(case: str, tmp_path: Path) -> None:
    path, word = made(tmp_path, case)
    app = box.app(inspect_data=REAL.inspect_data, data_here=list)
    async with app.run_test(size=SIZE) as pilot:
        await box.to_step(pilot, "data")
        await box.paste(pilot, str(path))
        await pilot.press("enter")
        await box.settled(pilot)
        screen = app.screen
        assert isinstance(screen, DataScreen)
        error = error_of(screen, "#picker-data")
        assert word in error.lower(), error
        assert screen.focused is screen.query_one("#field-data")
        await pilot.press("enter")
        await box.settled(pilot)
        assert app.screen is screen


async def test_columns_of_an_earlier_file_are_not_shown_for_an_unusable_one(questions: Path, tmp_path: Path) -> None:
    broken, _ = made(tmp_path, "broken")
    app = box.app(inspect_data=REAL.inspect_data, data_here=lambda: [questions, broken])
    async with app.run_test(size=SIZE) as pilot:
        await box.to_step(pilot, "data")
        await box.settled(pilot)
        columns = app.screen.query_one("#row-mapping", Field).entry
        assert "question" in columns.placeholder
        await pilot.press("down")
        await box.settled(pilot)
        assert error_of(app.screen, "#picker-data")
        assert columns.placeholder == "found by name"


async def test_a_mapping_that_names_no_column_is_marked_at_the_mapping(questions: Path) -> None:
    app = box.app(inspect_data=REAL.inspect_data, data_here=lambda: [questions])
    async with app.run_test(size=SIZE) as pilot:
        await box.to_step(pilot, "data")
        await pilot.press("tab")
        await box.paste(pilot, "prompt=nonsense")
        await pilot.press("enter")
        await box.settled(pilot)
        assert "nonsense" in error_of(app.screen, "#row-mapping")
        assert app.screen.focused is app.screen.query_one("#field-mapping")
        await pilot.press("ctrl+u")
        await box.paste(pilot, "prompt=question")
        await pilot.press("enter")
        await box.settled(pilot)
        assert isinstance(app.screen, GoalScreen)


async def test_a_folder_without_a_model_is_marked_in_place(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no model here")
    app = box.app(find_model=REAL.find_model, models_here=list)
    async with app.run_test(size=SIZE) as pilot:
        await box.to_step(pilot, "model")
        await box.paste(pilot, str(tmp_path))
        await pilot.press("enter")
        await box.settled(pilot)
        assert isinstance(app.screen, ModelScreen)
        assert "config.json" in error_of(app.screen, "#picker-model")
        assert app.screen.focused is app.screen.query_one("#field-model")


async def test_a_typed_model_folder_is_accepted(tiny_model: Path) -> None:
    app = box.app(find_model=REAL.find_model, models_here=list)
    async with app.run_test(size=SIZE) as pilot:
        await box.to_step(pilot, "model")
        await box.paste(pilot, str(tiny_model))
        await pilot.press("enter")
        await box.settled(pilot)
        assert isinstance(app.screen, DataScreen)
        assert app.journey.answers.model == str(tiny_model)


async def test_an_unknown_gpu_is_marked_in_place() -> None:
    app = box.app()
    async with app.run_test(size=SIZE) as pilot:
        await box.settled(pilot)
        await box.paste(pilot, "voodoo 5")
        await pilot.press("enter")
        await box.settled(pilot)
        assert isinstance(app.screen, HardwareScreen)
        assert "voodoo 5" in error_of(app.screen, "#picker-gpu")
        assert app.screen.focused is app.screen.query_one("#field-gpu")
        await pilot.press("ctrl+u", *"a100 sxm 80", "enter")
        await box.settled(pilot)
        assert isinstance(app.screen, ModelScreen)
        assert app.journey.device is not None and app.journey.device.name == "A100 SXM 80GB"


async def test_an_invalid_count_is_marked_at_the_count() -> None:
    app = box.app()
    async with app.run_test(size=SIZE) as pilot:
        await box.settled(pilot)
        await box.paste(pilot, "H100 SXM")
        await pilot.press("tab", "0", "enter")
        await box.settled(pilot)
        assert isinstance(app.screen, HardwareScreen)
        assert "of at least 1" in error_of(app.screen, "#row-count")
        await pilot.press("backspace", "4", "enter")
        await box.settled(pilot)
        assert app.journey.device is not None and app.journey.device.count == 4


@pytest.mark.parametrize(
    ("field", "text", "words"),
    [
        ("variants", "0", "of at least 1"),
        ("variants", "two", "whole number"),
        ("budget_usd", "-5", "of at least 0"),
        ("budget_usd", "nan", "of at least 0"),
        ("deadline_hours", "0", "above 0"),
        ("price_usd_per_hour", "cheap", "number"),
        ("kwh_price_usd", "-1", "of at least 0"),
    ],
)
async def test_an_invalid_limit_is_marked_in_place(field: str, text: str, words: str) -> None:
    app = box.at("goal")
    async with app.run_test(size=SIZE) as pilot:
        await box.settled(pilot)
        screen = app.screen
        screen.query_one(f"#field-{field}").focus()
        await pilot.press(*text, "enter")
        await box.settled(pilot)
        assert app.screen is screen
        assert words in error_of(screen, f"#row-{field}")
        assert screen.focused is screen.query_one(f"#field-{field}")


async def test_keys_that_arrive_together_act_in_order() -> None:
    app = box.at("goal")
    async with app.run_test(size=SIZE) as pilot:
        await box.settled(pilot)
        for key in (
            "down",
            "tab",
            "down",
            "tab",
            "1",
            "2",
            "backspace",
            "3",
            "tab",
            "4",
            "0",
            "ctrl+u",
            "7",
            "tab",
            "9",
        ):
            app.post_message(events.Key(key, key if len(key) == 1 else None))
        await box.settled(pilot)
        fields = [
            app.screen.query_one(f"#row-{name}", Field).text for name in ("variants", "budget_usd", "deadline_hours")
        ]
        assert fields == ["13", "7", "9"]
        assert app.screen.query_one("#field-shift", Choices).value == "domain"
        assert app.screen.query_one("#field-stakes", Choices).value == "high"


async def test_outside_text_is_harmless(tmp_path: Path) -> None:
    nasty = "[bold red]x[/nope]\x1b]0;owned\x07\u202e"
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"prompt": nasty, "completion": f"{nasty}{i}"}) + "\n" for i in range(20)))
    app = box.app(inspect_data=REAL.inspect_data, data_here=lambda: [path])
    async with app.run_test(size=SIZE) as pilot:
        await box.to_step(pilot, "data")
        await box.settled(pilot)
        shown = app.screen.query_one("#preview Prose").render().plain  # type: ignore[union-attr]
        assert "[bold red]x[/nope]" in shown
        assert "\x1b" not in shown and "\u202e" not in shown


async def test_enter_right_after_typing_applies_to_what_was_typed(tmp_path: Path) -> None:
    """Keys that come in one packet, as over a slow line: Enter must not take the answer from before them."""
    app = box.app(inspect_data=REAL.inspect_data, data_here=list)
    async with app.run_test(size=SIZE) as pilot:
        await box.settled(pilot)
        for key in [*"voodoo", "enter"]:
            app.post_message(events.Key(key, key if len(key) == 1 else None))
        await box.settled(pilot)
        assert isinstance(app.screen, HardwareScreen)
        assert "voodoo" in error_of(app.screen, "#picker-gpu")
        await pilot.press("ctrl+u")
        await box.to_step(pilot, "data")
        app.post_message(events.Paste(str(tmp_path / "none.jsonl")))
        app.post_message(events.Key("enter", None))
        await box.settled(pilot)
        assert isinstance(app.screen, DataScreen)
        assert "none.jsonl" in error_of(app.screen, "#picker-data")
