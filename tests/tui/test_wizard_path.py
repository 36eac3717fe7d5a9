"""The wizard by keys alone: Enter to a running demo, Back with all answers kept, and no start from a burst."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backend import answers_file
from backend.answers import Answers
from backend.launch.launch import Trainer
from backend.model.find import FoundModel
from backend.plan.job import Job
from backend.run.folder import RunFolder
from tests.tui import box
from tui.app import WizardApp
from tui.screens.compare import CompareScreen
from tui.screens.data import DataScreen
from tui.screens.goal import GoalScreen
from tui.screens.live import LiveScreen
from tui.screens.model import ModelScreen
from tui.screens.planned import PlannedStep
from tui.screens.review import QUIET_SECONDS, ReviewScreen
from tui.widgets.choices import Choices
from tui.widgets.field import Field
from tui.widgets.picker import Picker

SIZE = (80, 24)
DEMO: dict[str, Any] = {
    "models_here": lambda: [
        FoundModel("demo", "SmolLM2-135M-Instruct · 134.5 M parameters · 538 MB · ships with fttui", 5)
    ],
    "find_model": lambda reference: box.model("HuggingFaceTB/SmolLM2-135M-Instruct", reference),
    "data_here": list,
}


class Launcher:
    """Makes the run's folder and a trainer that is not started."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []

    def __call__(self, job: Job) -> tuple[RunFolder, Trainer]:
        self.jobs.append(job)
        folder = RunFolder.create(job)
        return folder, Trainer(folder)


async def to_review(pilot: Any) -> None:
    for _ in range(5):
        await box.settled(pilot)
        await pilot.press("enter")
    await box.settled(pilot)


async def test_enter_alone_starts_the_demo() -> None:
    launcher, clock = Launcher(), box.Clock()
    app = box.app(launcher, clock=clock, **DEMO)
    async with app.run_test(size=SIZE) as pilot:
        await to_review(pilot)
        assert isinstance(app.screen, ReviewScreen)
        clock.now += 2
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(app.screen, LiveScreen)
    (job,) = launcher.jobs
    assert (job.model, job.data, job.plan.method) == ("demo", "demo", "lora")
    assert answers_file.load().model == "demo"


@pytest.mark.parametrize("seconds_between", [0.0, 0.03])
async def test_several_enters_in_a_row_start_nothing(seconds_between: float) -> None:
    launcher, clock = Launcher(), box.Clock()
    app = box.app(launcher, clock=clock, **DEMO)
    async with app.run_test(size=SIZE) as pilot:
        await to_review(pilot)
        for _ in range(24):
            clock.now += seconds_between
            await pilot.press("enter")
        assert not launcher.jobs
        clock.now += QUIET_SECONDS
        await pilot.press("enter")
        assert len(launcher.jobs) == 1


async def test_several_enters_in_a_row_reach_no_screen_twice() -> None:
    app = box.app(**DEMO)
    async with app.run_test(size=SIZE) as pilot:
        await box.settled(pilot)
        await pilot.press(*["enter"] * 12)
        for _ in range(6):
            await box.settled(pilot)
        steps = [getattr(screen, "STEP", None) for screen in app.screen_stack[1:]]
        assert steps == ["hardware", "model", "data", "goal", "compare", "review"][: len(steps)]


async def test_back_keeps_every_answer() -> None:
    app = box.app()
    async with app.run_test(size=SIZE) as pilot:
        for _ in range(3):
            await box.settled(pilot)
            await pilot.press("enter")
        await box.settled(pilot)
        assert isinstance(app.screen, GoalScreen)
        await pilot.press("down", "tab", "down", "tab", "3", "tab", *"40")
        await pilot.press("escape", "escape")
        assert isinstance(app.screen, ModelScreen)
        await pilot.press("enter")
        await box.settled(pilot)
        assert isinstance(app.screen, DataScreen)
        assert app.screen.query_one(Picker).value == "support.jsonl"
        await pilot.press("enter")
        await box.settled(pilot)
        assert app.screen.query_one("#field-shift", Choices).value == "domain"
        assert app.screen.query_one("#field-stakes", Choices).value == "high"
        assert app.screen.query_one("#row-variants", Field).text == "3"
        assert app.screen.query_one("#row-budget_usd", Field).text == "40"
        await pilot.press("enter")
        await box.settled(pilot)
        assert isinstance(app.screen, CompareScreen)
    assert (app.journey.answers.budget_usd, app.journey.answers.variants) == (40.0, 3)


async def test_only_enter_makes_what_is_highlighted_the_answer(tmp_path: Path) -> None:
    files = [tmp_path / "alpaca.jsonl", tmp_path / "rows.csv"]
    for path in files:
        path.touch()
    app = box.app(data_here=lambda: files)
    app.journey.answer(data=str(files[1]), mapping=("prompt=q",))
    async with app.run_test(size=SIZE) as pilot:
        await box.settled(pilot)
        await pilot.press(*"RTX 3090")
        await box.settled(pilot)
        assert app.journey.answers.gpu is None
        assert "not in this box" in str(app.screen.query_one("#box").border_subtitle)
        await pilot.press("escape")
        await box.to_step(pilot, "data")
        assert app.journey.device is not None and app.journey.device.name == "RTX 4090"
        screen = app.screen
        for keys in ("alp", ("ctrl+u",), "alp", ("escape",)):
            await pilot.press(*keys)
            await box.settled(pilot)
            assert app.journey.answers.data == str(files[1])
        assert screen.query_one(Picker).value == str(files[1])
        assert screen.query_one("#row-mapping", Field).text == "prompt=q"
        await pilot.press("up", "enter")
        await box.settled(pilot)
        assert (app.journey.answers.data, app.journey.answers.mapping) == (str(files[0]), ())
        await pilot.press("escape", "escape")
        assert isinstance(app.screen, ModelScreen), "what was taken is no filter: Esc goes back"


async def test_last_answers_are_the_next_defaults() -> None:
    launcher, clock = Launcher(), box.Clock()
    first = box.app(launcher, clock=clock, **DEMO)
    async with first.run_test(size=SIZE) as pilot:
        for _ in range(3):
            await box.settled(pilot)
            await pilot.press("enter")
        await box.settled(pilot)
        await pilot.press("down", "tab", "tab", "tab", *"12.5", "enter")
        await box.settled(pilot)
        await pilot.press("enter")
        await box.settled(pilot)
        clock.now += 2
        await pilot.press("enter")
        await pilot.pause()
    second = box.app(**DEMO)
    assert second.journey.answers == first.journey.answers
    assert (second.journey.answers.budget_usd, second.journey.answers.shift) == (12.5, "domain")


async def test_a_session_that_is_left_half_way_keeps_its_answers() -> None:
    first = box.app()
    async with first.run_test(size=SIZE) as pilot:
        await box.to_step(pilot, "goal")
        await pilot.press("down", "tab", "tab", "tab", *"12.5", "enter")
        await box.settled(pilot)
    second = box.app()
    assert (second.journey.answers.budget_usd, second.journey.answers.shift) == (12.5, "domain")
    assert second.journey.answers.data == "support.jsonl"


async def test_settings_for_another_model_or_device_are_dropped_and_said() -> None:
    found = {"one": "meta-llama/Llama-3.1-8B-Instruct", "other": "Qwen/Qwen2.5-0.5B"}
    app = box.app(
        models_here=lambda: [FoundModel(name, name, 1) for name in found],
        find_model=lambda reference: box.model(found[reference], reference),
    )
    app.journey.answer(model="one", epochs=300.0, set=("rank=8", "micro_batch=2"))
    app.journey.restored = frozenset(("epochs", "rank"))
    async with app.run_test(size=SIZE) as pilot:
        said: list[str] = []
        app.notify = lambda message, **_: said.append(message)  # type: ignore[method-assign]
        await box.settled(pilot)
        await pilot.press(*"L40S", "enter")
        await box.settled(pilot)
        assert app.journey.settings() == {}
        assert said == [
            "Left to the planner again, as they were for another device: epochs 300, rank 8, micro_batch 2."
        ]
        app.journey.answer(epochs=5.0)
        await pilot.press("down", "enter")
        await box.settled(pilot)
        assert app.journey.answers.model == "other" and app.journey.answers.epochs is None
        assert said[-1] == "Left to the planner again, as they were for one: epochs 5."


async def test_an_outdated_answer_is_ignored() -> None:
    app = box.app()
    async with app.run_test(size=SIZE) as pilot:
        await box.settled(pilot)
        await pilot.press("enter")
        await box.settled(pilot)
        screen = app.screen
        assert isinstance(screen, ModelScreen)
        from tui.messages import Looked

        before = app.journey.model
        screen.post_message(Looked("something else", box.model("Qwen/Qwen2.5-0.5B")))
        await pilot.pause()
        assert app.journey.model is before


async def test_help_shows_the_field_and_the_keys() -> None:
    app = box.app()
    async with app.run_test(size=SIZE) as pilot:
        for _ in range(3):
            await box.settled(pilot)
            await pilot.press("enter")
        await box.settled(pilot)
        await pilot.press("tab", "tab", "tab", "f1")
        await pilot.pause()
        text = app.screen.query_one("Prose").render().plain  # type: ignore[union-attr]
        assert "The most that the run may cost" in text
        assert "Enter" in text and "next" in text
        await pilot.press("escape")
        assert isinstance(app.screen, GoalScreen)


async def test_the_demo_model_is_prepared_and_counts_become_exact() -> None:
    ready: list[bool] = []
    asked: list[str] = []
    app = box.app(
        **DEMO,
        demo_is_ready=lambda: bool(ready),
        demo_tokenizer_ready=lambda: bool(ready),
        prepare_demo=lambda: asked.append("prepare"),
        inspect_data=lambda reference, *_: replace(box.report(reference), exact=bool(ready)),
    )
    async with app.run_test(size=SIZE) as pilot:
        await box.to_step(pilot, "data")
        screen = app.screen
        assert isinstance(screen, DataScreen)
        assert asked == ["prepare"]
        shown = screen.query_one("#preview Prose")
        assert "preparing the demo model" in shown.render().plain  # type: ignore[union-attr]
        assert "about" in shown.render().plain  # type: ignore[union-attr]
        ready.append(True)
        screen.when_demo_is_ready()
        await box.settled(pilot)
        assert "preparing" not in shown.render().plain  # type: ignore[union-attr]
        await pilot.press("enter")
        assert app.journey.data is not None and app.journey.data.exact


async def test_figures_become_exact_on_later_steps_too() -> None:
    """Enter is pressed before the demo model's tokenizer is ready: the plan must not keep the estimates."""
    ready: list[bool] = []
    app = box.app(
        **DEMO,
        demo_is_ready=lambda: bool(ready),
        demo_tokenizer_ready=lambda: bool(ready),
        inspect_data=lambda reference, *_: replace(box.report(reference), exact=bool(ready)),
    )
    async with app.run_test(size=SIZE) as pilot:
        await box.to_step(pilot, "compare")
        assert app.journey.data is not None and not app.journey.data.exact
        ready.append(True)
        screen = app.screen
        assert isinstance(screen, PlannedStep)
        screen.read_again()
        await box.settled(pilot)
        assert app.journey.data.exact and app.journey.comparison().data.exact and app.screen is screen
        await pilot.press("escape", "escape")
        await box.settled(pilot)
        assert "preparing" not in app.screen.query_one("#preview Prose").render().plain


async def test_an_earlier_setting_that_is_refused_is_dropped_with_a_message() -> None:
    answers_file.save(Answers(set=("rank=0",), model="demo", data="demo"))
    app = box.app(**DEMO)
    async with app.run_test(size=SIZE) as pilot:
        await box.to_step(pilot, "goal")
        await box.settled(pilot)
        assert app.journey.answers.set == ()
        assert "rank" in box.said(app)


@pytest.mark.parametrize(("gpu", "times"), [(None, 1), ("4090", 0)])
async def test_torch_is_loaded_once_after_the_model_and_only_for_this_box(
    gpu: str | None, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WizardApp, "SETTLED_SECONDS", 0.001)
    loaded: list[None] = []
    app = box.app(warm_up=lambda: loaded.append(None))
    app.journey.answer(gpu=gpu)
    async with app.run_test(size=SIZE) as pilot:
        await box.to_step(pilot, "model")
        assert loaded == []
        await box.to_step(pilot, "data")
        await pilot.press("escape", "enter")
        await box.settled(pilot)
    assert len(loaded) == times
