"""Several GPUs in the box: the first screen says which ones a run takes, the review takes fewer of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from backend.hardware import GpuProcess, Hardware
from backend.launch.launch import Trainer
from backend.plan.job import Job
from backend.run.folder import RunFolder
from tests.tui import box
from tests.tui.test_review_screen import edit
from tui.screens.live import LiveScreen
from tui.widgets.setting_rows import SettingEditor

SIZE = (100, 30)


def three_gpus() -> Hardware:
    """Two idle ones, and one that computes."""
    idle = replace(box.gpu(), processes=())
    busy = replace(idle, index=1, uuid="GPU-1", processes=(GpuProcess(7, "python3", 2**30),))
    return replace(box.hardware(), gpus=(idle, busy, replace(idle, index=2, uuid="GPU-2")))


def at_review(launch: Any, clock: box.Clock) -> Any:
    app = box.at("review", launch, clock=clock, detect=three_gpus)
    app.journey.hardware = three_gpus()
    app.journey.here = app.journey.device = app.journey.sources.here(app.journey.hardware)
    return app


async def test_the_first_screen_says_which_gpus_a_run_uses() -> None:
    app = box.app(detect=three_gpus)
    async with app.run_test(size=SIZE) as pilot:
        await box.settled(pilot)
        shown = " ".join(str(widget.render()) for widget in app.screen.query("#box *"))
        assert "a run trains on the 2 that are idle, GPU 0 and 2" in " ".join(shown.split())
        assert app.journey.here is not None and app.journey.here.label == "2 x RTX 4090"


def noting(jobs: list[Job]) -> Callable[[Job], tuple[RunFolder, Trainer]]:
    """A launch that starts nothing and notes what it was asked for."""

    def launch(job: Job) -> tuple[RunFolder, Trainer]:
        jobs.append(job)
        folder = RunFolder.create(job)
        return folder, Trainer(folder)

    return launch


async def test_the_review_takes_fewer_and_refuses_more() -> None:
    jobs: list[Job] = []
    clock = box.Clock()
    app = at_review(noting(jobs), clock)
    async with app.run_test(size=SIZE) as pilot:
        await box.settled(pilot)
        method = app.journey.chosen()
        assert app.journey.comparison().methods[method].plan.processes == 2
        await edit(pilot, "processes", "4")
        assert "there are 3 of the device" in str(app.screen.query_one(SettingEditor).query_one(".error").render())
        await pilot.press("escape")
        await edit(pilot, "processes", "1")
        assert app.journey.comparison().device.label == "RTX 4090"
        await pilot.press("home")
        clock.now += 2
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(app.screen, LiveScreen)
    assert (jobs[0].plan.processes, len(jobs[0].device_uuids)) == (1, 1)


async def test_a_run_over_all_idle_ones_starts() -> None:
    jobs: list[Job] = []
    clock = box.Clock()
    app = at_review(noting(jobs), clock)
    async with app.run_test(size=SIZE) as pilot:
        await box.settled(pilot)
        clock.now += 2
        await pilot.press("enter")
        await pilot.pause()
    assert jobs[0].plan.processes == 2
    assert jobs[0].device_uuids == (box.gpu().uuid, "GPU-2")
