"""The dry run over the compare screen: it shows the command's table, or its complaint, and closes at any time."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from backend.answers import Answers
from tests.tui import box
from tui.screens.compare import CompareScreen
from tui.screens.dry_run import DryRunScreen
from tui.sources import Sources


def python(code: str) -> Any:
    """A stand-in for the command: the dry run itself has tests of its own."""
    return lambda answers, start: [sys.executable, "-c", code]


async def shown(pilot: Pilot[Any], words: str) -> str:
    """What the dialog says, once it says `words`."""
    found = pilot.app.screen.query_one("#found", Static)
    while words not in str(found.visual):
        await pilot.pause(0.02)
    return str(found.visual)


@pytest.mark.parametrize("size", [(80, 24), (200, 50)])
async def test_the_table_is_shown_and_fits(size: tuple[int, int]) -> None:
    app = box.at("compare", dry_run_command=python("print('x' * 71 + '\\nstep peak')"))
    async with app.run_test(size=size) as pilot:
        await box.settled(pilot)
        await pilot.press("d")
        await pilot.pause()
        assert isinstance(app.screen, DryRunScreen)
        async with asyncio.timeout(20):
            text = await shown(pilot, "step peak")
        assert "x" * 71 in text
        assert app.screen.query_one("#box").region.right <= size[0]
        await pilot.press("escape")
        assert isinstance(app.screen, CompareScreen)


async def test_an_error_is_shown_as_it_is() -> None:
    app = box.at("compare", dry_run_command=python("import sys; sys.exit('fttui: [no] \\x1b[31mconfig')"))
    async with app.run_test(size=(80, 24)) as pilot:
        await box.settled(pilot)
        await pilot.press("d")
        await pilot.pause()
        async with asyncio.timeout(20):
            assert "\x1b" not in await shown(pilot, "fttui: [no]")


async def test_closing_it_ends_the_process() -> None:
    app = box.at("compare", dry_run_command=python("import time; time.sleep(600)"))
    async with app.run_test(size=(80, 24)) as pilot:
        await box.settled(pilot)
        await pilot.press("d")
        await pilot.pause()
        screen = app.screen
        assert isinstance(screen, DryRunScreen)
        async with asyncio.timeout(20):
            while screen._process is None:
                await pilot.pause(0.02)
            await pilot.press("escape")
            assert await screen._process.wait() != 0
        assert isinstance(app.screen, CompareScreen)


def test_the_command_plans_the_job_of_the_answers() -> None:
    command = Sources().dry_run_command(Answers(model="8b", budget_usd=40.0, set=("rank=32", "seed=1")), None)
    assert command[1:] == [
        "-m",
        "tui",
        "plan",
        "--model",
        "8b",
        "--budget",
        "40",
        "--set",
        "rank=32",
        "--set",
        "seed=1",
        "--dry-run",
    ]
