"""Several GPUs in the box: the first screen says which ones a run takes, the review takes fewer of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.widgets._footer import FooterKey

from backend.answers import Answers
from backend.hardware import GpuProcess, Hardware
from backend.launch.launch import Trainer
from backend.plan.job import Job
from backend.plan.preset import Preset
from backend.run.folder import RunFolder
from tests.tui import box
from tests.tui.test_review_screen import edit
from tui.journey import Journey
from tui.screens.live import LiveScreen
from tui.sources import Sources
from tui.widgets.hardware_preview import planned
from tui.widgets.preset_outlook import Known, look
from tui.widgets.preview import Preview
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


async def test_several_boxes_are_planned_for_and_launched() -> None:
    app = box.app(clock=(clock := box.Clock()))
    async with app.run_test(size=(80, 24)) as pilot:
        await box.settled(pilot)
        await pilot.press(*"H100 SXM", "tab", "8", "tab", "2")
        await box.settled(pilot)
        assert app.screen.query_one("#row-node_gbps").display
        await pilot.press("enter")
        await box.settled(pilot)
        assert app.screen.query_one("#row-node_gbps .error").has_class("-shown")
        assert app.journey.device is not None and app.journey.device.nodes == 1
        await pilot.press(*"100")
        await box.settled(pilot)
        assert "2 boxes of 8 x H100 SXM" in str(app.screen.query_one(Preview).border_title)
        await box.to_step(pilot, "review")
        assert app.journey.device.nodes == 2 and app.journey.comparison().device.count == 16
        assert (app.journey.answers.nodes, app.journey.answers.node_gbps) == (2, 100.0)
        line = str(app.screen.query_one("#command").render())
        assert "fttui launch --on torchrun" in line and "--nodes 2 --node-gbps 100" in line
        clock.now += 2
        await pilot.press("l", "enter")
        await pilot.pause()
        assert app.clipboard.startswith("fttui launch --on slurm") and "--nodes 2" in app.clipboard
        assert "launch" in {key.description for key in app.screen.query(FooterKey)}


async def test_another_gpu_is_one_box_again_and_x_brings_the_boxes_back() -> None:
    app = box.at("compare")
    app.plan_for("H100:8", (2, 100.0))
    app.journey.box_gpu, app.journey.box_boxes = app.journey.answers.gpu, app.journey.boxes
    async with app.run_test(size=(80, 24)) as pilot:
        await box.settled(pilot)
        app.plan_for("L40S")
        assert app.journey.device is not None and app.journey.device.nodes == 1 and app.journey.answers.nodes is None
        await pilot.press("x")
        await box.settled(pilot)
        assert app.journey.device.nodes == 2 and app.journey.boxes == (2, 100.0)


def test_a_preset_for_several_boxes_says_what_it_would_take_on_them() -> None:
    job = {"model": "8b", "gpu": "H100:8", "nodes": 2, "node_gbps": 100.0}
    preset = Preset("two", "", {"method": "lora"}, job, Path("two.toml"), shipped=False)
    journey = Journey(Sources(), Answers())
    found = look(journey, Known(Answers(), None, box.model(), box.report()), preset)
    assert found.device.label == "2 boxes of 8 x H100 SXM"


@pytest.mark.parametrize(("gpu", "said"), [("H100:8", "an hour each, "), ("H100", "an hour, ")])
def test_the_price_of_one_of_several_gpus_is_named_as_such(gpu: str, said: str) -> None:
    text = planned(Sources().named(gpu), 200).plain
    assert said in text and ("each" in text) == (":" in gpu)
