"""The trial on the compare screen: its duration, its progress, then the table; Esc ends it at any time."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from backend.answers import Answers
from backend.plan.job import Job
from backend.plan.plan import Plan
from backend.planner import devices, jobs
from backend.run.folder import RunFolder
from backend.trial.plan import Trial
from tests.tui import box
from tests.tui.stage import Stage
from tui.screens.compare import CompareScreen
from tui.screens.trial import TrialScreen
from tui.sources import Sources

TABLE = "print('trial         LoRA\\nsteps         20 of 20')"
WAITS = "import sys, time; print('LoRA: step 3 of 20', file=sys.stderr, flush=True); time.sleep(600)"


def python(code: str) -> Any:
    """A stand-in for the command: real trials have tests of their own."""
    return lambda answers, start: [sys.executable, "-c", code]


async def shown(pilot: Pilot[Any], words: str) -> str:
    """What the dialog says, once it says `words`."""
    found = pilot.app.screen.query_one("#found", Static)
    async with asyncio.timeout(20):
        while words not in str(found.visual):
            await pilot.pause(0.02)
    return str(found.visual)


@pytest.mark.parametrize("size", [(80, 24), (200, 50)])
async def test_it_says_how_long_and_starts_on_enter(size: tuple[int, int]) -> None:
    app = box.at("compare", trial_command=python(TABLE))
    async with app.run_test(size=size) as pilot:
        await box.settled(pilot)
        await pilot.press("t")
        await pilot.pause()
        screen = app.screen
        assert isinstance(screen, TrialScreen)
        text = await shown(pilot, "together")
        assert "real steps of LoRA, about " in text and screen._process is None
        await pilot.press("enter")
        await shown(pilot, "20 of 20")
        assert screen.query_one("#box").region.right <= size[0]
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(app.screen, CompareScreen)


async def test_it_shows_its_progress_and_esc_ends_its_process() -> None:
    app = box.at("compare", trial_command=python(WAITS))
    async with app.run_test(size=(80, 24)) as pilot:
        await box.settled(pilot)
        await pilot.press("t", "enter")
        await pilot.pause()
        screen = app.screen
        assert isinstance(screen, TrialScreen)
        assert "LoRA: step 3 of 20 · " in await shown(pilot, "step 3")
        await pilot.press("enter", "t")
        assert isinstance(app.screen, TrialScreen), "only Esc ends it"
        await pilot.press("escape")
        assert screen._process is not None
        async with asyncio.timeout(20):
            assert await screen._process.wait() != 0
        assert isinstance(app.screen, CompareScreen)


async def test_leaving_the_app_ends_the_process() -> None:
    app = box.at("compare", trial_command=python(WAITS))
    async with app.run_test(size=(80, 24)) as pilot:
        await box.settled(pilot)
        await pilot.press("t", "enter")
        screen = app.screen
        assert isinstance(screen, TrialScreen)
        await shown(pilot, "step 3")
    assert screen._process is not None
    async with asyncio.timeout(20):
        assert await screen._process.wait() != 0


async def test_afterwards_the_figures_are_computed_again() -> None:
    asked: list[object] = []

    def here(hardware: Any) -> Any:
        """From the second look on, the device is as slow as a trial has measured it."""
        asked.append(hardware)
        device = devices.here(hardware)
        return device if len(asked) == 1 else replace(device, flops_per_second=device.flops_per_second / 2)

    app = box.at("compare", trial_command=python(TABLE), here=here)
    async with app.run_test(size=(80, 24)) as pilot:
        await box.settled(pilot)
        before = app.journey.comparison().methods["qlora"].hours.point
        await pilot.press("t", "enter")
        await shown(pilot, "20 of 20")
        await pilot.press("escape")
        await box.settled(pilot)
        assert app.journey.comparison().methods["qlora"].hours.point > 1.2 * before
        assert "trial: QLoRA +" in str(app.screen.query_one("#what-if", Static).render())


async def test_an_error_is_shown_and_nothing_is_computed_again() -> None:
    complaint = "import sys; sys.exit('fttui: [no] \\x1b[31mtrial')"
    app = box.at("compare", trial_command=python(complaint))
    async with app.run_test(size=(80, 24)) as pilot:
        await box.settled(pilot)
        device = app.journey.device
        await pilot.press("t", "enter")
        assert "\x1b" not in await shown(pilot, "fttui: [no]")
        await pilot.press("escape")
        await box.settled(pilot)
        assert app.journey.device is device


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ({"gpu": "H100 SXM"}, "is not in this box"),
        ({"data": "", "rows": 500, "row_tokens": 300}, "there is no data yet"),
    ],
)
async def test_if_it_is_impossible_a_sentence_says_why(answers: dict[str, Any], words: str) -> None:
    app = box.at("compare")
    async with app.run_test(size=(80, 24)) as pilot:
        await box.settled(pilot)
        if "gpu" in answers:
            app.plan_for(answers["gpu"])
        app.journey.answer(**answers)
        await pilot.press("t")
        await pilot.pause()
        assert isinstance(app.screen, CompareScreen)
        assert words in box.said(app)


async def test_no_trial_during_a_run_of_the_same_process() -> None:
    app = box.at("compare")
    async with app.run_test(size=(80, 24)) as pilot:
        await box.settled(pilot)
        with RunFolder.create(jobs.job(app.journey.comparison(), "qlora")).hold():
            await pilot.press("t")
            await pilot.pause()
        assert isinstance(app.screen, CompareScreen)
        assert "is training on this device" in box.said(app)


def test_the_command_tries_the_job_of_the_answers() -> None:
    command = Sources().trial_command(Answers(model="8b", set=("rank=32",)), None)
    assert command[1:] == ["-m", "tui", "plan", "--model", "8b", "--set", "rank=32", "--trial"]


def a_trial(method: Any, seconds: float) -> Trial:
    job = Job("m", "m", "rows.jsonl", Plan(method=method), "cpu", "CPU")
    return Trial(method, job, 20, job.plan, 900, 27, seconds)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80", "120"])
def test_how_it_looks(size: tuple[int, int], snap_compare: Callable[..., bool]) -> None:
    screen = TrialScreen(["true"], [a_trial("lora", 61.0), a_trial("qlora", 72.0)])
    assert snap_compare(Stage(screen), terminal_size=size)


def test_how_it_looks_while_it_runs(snap_compare: Callable[..., bool]) -> None:
    screen = TrialScreen([sys.executable, "-c", WAITS], [a_trial("lora", 61.0), a_trial("qlora", 72.0)], lambda: 5.0)

    async def running(pilot: Any) -> None:
        await pilot.press("enter")
        await shown(pilot, "step 3")

    assert snap_compare(Stage(screen), terminal_size=(80, 24), run_before=running)
