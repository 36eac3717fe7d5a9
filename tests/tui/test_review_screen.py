"""The review: settings are changed in place and checked, and saved as a preset; a doubtful run needs confirmation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from textual.widgets._footer import FooterKey

from backend import presets
from backend.launch.launch import Trainer
from backend.plan.job import Job
from backend.run.folder import RunFolder
from tests.tui import box
from tui.screens.confirm import Confirm
from tui.screens.live import LiveScreen
from tui.screens.review import ReviewScreen
from tui.sources import Sources
from tui.widgets.setting_rows import SettingEditor, StartRow
from tui.widgets.settings import PlanSettings

SIZE = (80, 24)


def launched(jobs: list[Job]) -> Any:
    def launch(job: Job) -> tuple[RunFolder, Trainer]:
        jobs.append(job)
        folder = RunFolder.create(job)
        return folder, Trainer(folder)

    return launch


async def edit(pilot: Any, key: str, text: str) -> None:
    settings = pilot.app.screen.query_one(PlanSettings)
    settings.index = [row.key for row in settings.rows].index(key)
    await pilot.press("e")
    await pilot.pause()
    await box.paste(pilot, text)
    await pilot.press("enter")
    await pilot.pause()


async def test_a_setting_is_changed_in_place_and_planned_around() -> None:
    app = box.at("review")
    async with app.run_test(size=SIZE) as pilot:
        await box.settled(pilot)
        before = app.journey.comparison().methods["qlora"].trainable_parameters
        await edit(pilot, "rank", "64")
        plan = app.journey.comparison().methods["qlora"]
        assert plan.plan.rank == 64 and plan.origin["rank"] == "you"
        assert plan.trainable_parameters == 4 * before
        assert "--set rank=64" in str(app.screen.query_one("#command").render())
        await edit(pilot, "max_length", "1024")
        assert app.journey.answers.max_length == 1024
        await edit(pilot, "rank", " ")
        assert app.journey.comparison().methods["qlora"].plan.rank == 16


async def test_enter_on_a_setting_edits_it_and_starts_nothing() -> None:
    jobs: list[Job] = []
    clock = box.Clock()
    app = box.at("review", launched(jobs), clock=clock)
    async with app.run_test(size=SIZE) as pilot:
        await box.settled(pilot)
        clock.now += 2
        await pilot.press("down", "down", "enter")
        await pilot.pause()
        assert app.screen.query_one(SettingEditor).key == "packing"
        for _ in range(5):
            clock.now += 2
            await pilot.press("enter")
            await pilot.pause()
        assert isinstance(app.screen, ReviewScreen) and not jobs
        await pilot.press("home", "e")
        await pilot.pause()
        assert not app.screen.query(SettingEditor), "there is nothing to edit at the start"
        clock.now += 2
        await pilot.press("enter")
        await pilot.pause()
        assert len(jobs) == 1


@pytest.mark.parametrize(
    ("key", "text", "words"),
    [("rank", "0", "at least 1"), ("learning_rate", "fast", "a number"), ("schedule", "square", "cosine")],
)
async def test_a_wrong_setting_is_marked_under_its_row(key: str, text: str, words: str) -> None:
    app = box.at("review")
    async with app.run_test(size=SIZE) as pilot:
        await box.settled(pilot)
        before = app.journey.answers
        await edit(pilot, key, text)
        editor = app.screen.query_one(SettingEditor)
        assert words in str(editor.query_one(".error").render())
        assert app.screen.focused is editor.query_one(f"#field-{key}")
        assert app.journey.answers == before
        await pilot.press("escape")
        await pilot.pause()
        assert not app.screen.query(SettingEditor)
        assert isinstance(app.screen, ReviewScreen)


async def test_a_preset_is_saved_under_a_name_and_a_shipped_one_stays() -> None:
    app = box.at("review")
    async with app.run_test(size=SIZE) as pilot:
        await box.settled(pilot)
        await pilot.press("s")
        await box.paste(pilot, "solo-qlora")
        await pilot.press("enter")
        await pilot.pause()
        assert "shipped" in str(app.screen.query_one("#row-preset > .error").render())
        await pilot.press("ctrl+u")
        await box.paste(pilot, "support-bot")
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(app.screen, ReviewScreen)
        saved = presets.load("support-bot")
        assert saved.plan["method"] == "qlora" and saved.job["data"] == "support.jsonl"


async def test_what_does_not_fit_asks_again_and_enter_is_no() -> None:
    jobs: list[Job] = []
    clock = box.Clock()
    app = box.at("compare", launched(jobs), clock=clock)
    async with app.run_test(size=SIZE) as pilot:
        await box.settled(pilot)
        await pilot.press("right", "enter")
        await box.settled(pilot)
        clock.now += 2
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(app.screen, Confirm)
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(app.screen, ReviewScreen) and not jobs
        clock.now += 2
        await pilot.press("enter")
        await pilot.pause()
        await pilot.press("y")
        await pilot.pause()
        assert isinstance(app.screen, LiveScreen)
    assert [job.plan.method for job in jobs] == ["full"]


async def test_a_plan_for_another_box_offers_its_command_and_no_start() -> None:
    clock = box.Clock()
    app = box.app(clock=clock)
    async with app.run_test(size=SIZE) as pilot:
        await box.settled(pilot)
        await pilot.press(*"L40S")
        await box.to_step(pilot, "review")
        screen = app.screen
        start = screen.query_one(StartRow).render().plain
        assert "Run it on L40S" in start and "copies the command" in start and "Start the training" not in start
        assert "L40S is not in this box: the command below trains there" in str(screen.query_one("#summary").render())
        clock.now += 2
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(app.screen, ReviewScreen)
        said = app.clipboard
        assert said.startswith("fttui train --method") and "--gpu" not in said and "--data support.jsonl" in said
        assert "run it on a box with L40S" in box.said(app)
        await pilot.press("l", "down", "enter")
        await pilot.pause()
        assert app.clipboard.startswith("fttui launch --on skypilot --method ") and "--gpu L40S" in app.clipboard
        assert "Add --submit" in box.said(app) and "--nodes" not in box.said(app)
        await pilot.press("l", "down", "down", "down", "enter")
        await pilot.pause()
        assert "fttui launch --on slurm" in app.clipboard and "--nodes 2 --node-gbps 100" in box.said(app)


async def test_a_plan_for_another_box_without_data_says_what_is_missing() -> None:
    app = box.at("review", clock=(clock := box.Clock()))
    app.journey.plan_for(app.journey.sources.named("L40S"), "L40S")
    app.journey.answer(data="", rows=4800, row_tokens=400)
    async with app.run_test(size=SIZE) as pilot:
        await box.settled(pilot)
        assert "there is no data yet" in str(app.screen.query_one("#summary").render())
        first = app.screen.query_one(StartRow)
        assert "Enter copies" not in str(first.render()) and "✗ says why" in str(first.render())
        clock.now += 2
        await pilot.press("enter")
        await pilot.pause()
        assert not app.clipboard and "there is no data yet" in box.said(app)


async def test_a_setting_of_an_earlier_session_is_named_as_such_until_it_is_set_or_cleared() -> None:
    app = box.at("review")
    app.journey.answer(epochs=300.0, set=("rank=8",))
    app.journey.restored = frozenset(("epochs", "rank"))
    async with app.run_test(size=SIZE) as pilot:
        await box.settled(pilot)

        def origin(key: str) -> str:
            row = next(x for x in app.screen.query_one(PlanSettings).rows if x.key == key)
            return row.render().plain

        assert "from your last run; x clears it" in origin("epochs") and "from your last run" in origin("rank")
        await edit(pilot, "rank", "32")
        assert "you set this" in origin("rank")
        await pilot.press("x")
        await pilot.pause()
        assert app.journey.answers.epochs is None and app.journey.answers.set == ()
        assert "last run" not in origin("epochs")


async def test_a_setting_that_chooses_rows_or_targets_reads_the_data_again(tmp_path: Path) -> None:
    """KTO learns from good and bad answers: the plan counts both, as on the command line."""
    rows = [{"prompt": f"Number {i}?", "completion": f"It is {i}.", "label": i % 4 == 0} for i in range(40)]
    path = tmp_path / "marks.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    app = box.at("review", inspect_data=Sources().inspect_data)
    app.journey.data = Sources().inspect_data(str(path), (), None)
    app.journey.answer(data=str(path))
    async with app.run_test(size=SIZE) as pilot:
        await box.settled(pilot)
        assert app.journey.comparison().data.rows == 10
        app.journey.answers = app.journey.with_setting("objective", "kto")
        app.screen.refreshed()  # type: ignore[attr-defined]
        await box.settled(pilot)
        assert app.journey.comparison().data.rows == 40
        assert "(40 rows)" in str(app.screen.query_one("#summary").render())
        await pilot.press("x")
        await box.settled(pilot)
        assert app.journey.comparison().data.rows == 10


async def test_the_setting_under_the_cursor_is_explained_and_its_key_shown() -> None:
    app = box.at("review")
    async with app.run_test(size=SIZE) as pilot:
        await box.settled(pilot)

        def shown() -> tuple[str, set[str]]:
            explanation = str(app.screen.query_one("#explanation").render())
            return explanation, {key.description for key in app.screen.query(FooterKey)}

        assert shown()[0].startswith("Enter starts the training") and "start" in shown()[1]
        await pilot.press("down")
        await box.settled(pilot)
        explanation, keys = shown()
        assert explanation.startswith("max_length ") and "edit" in keys and "start" not in keys
        await pilot.press("home")
        await box.settled(pilot)
        assert shown()[0].startswith("Enter starts the training") and "start" in shown()[1]
