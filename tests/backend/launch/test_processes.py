"""Resuming a run on another number of processes: what is refused, and what plan.toml then says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backend.errors import UserError
from backend.launch import processes
from backend.planner import devices, several
from backend.planner.device import Card, Device, Pool
from backend.run.folder import RunFolder
from tests.backend.run.test_folder import JOB


def run(**changes: Any) -> RunFolder:
    settings = {"method": "full", "processes": 2, "effective_batch": 4, **changes}
    plan = replace(JOB.plan, **settings)
    return RunFolder.create(replace(JOB, device="cuda", plan=plan, device_uuids=("GPU-x", "GPU-y")))


@pytest.fixture
def four_gpus(fttui_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second is in use by others."""
    cards = [Card(f"GPU-{i}", i, 80 << 30, (20 if i == 1 else 80) << 30, i != 1) for i in range(4)]
    box = replace(devices.named("H100:3"), here=True, pool=Pool(several.ordered(cards), ""))

    def here(_: object) -> Device:
        return several.take(box, 3)

    monkeypatch.setattr(devices, "here", here)


def test_the_run_goes_on_on_the_freest_devices(four_gpus: None) -> None:
    folder = run()
    for count, uuids in ((3, ("GPU-0", "GPU-2", "GPU-3")), (4, ("GPU-0", "GPU-2", "GPU-3", "GPU-1")), (1, ("GPU-0",))):
        processes.change(folder, count)
        job = folder.job()
        assert (job.plan.processes, job.device_uuids, job.plan.effective_batch) == (count, uuids, 4)


def test_the_same_number_changes_nothing(four_gpus: None) -> None:
    folder = run()
    before = folder.plan_file.read_bytes()
    processes.change(folder, 2)
    assert folder.plan_file.read_bytes() == before


@pytest.mark.parametrize(
    ("changes", "count", "said"),
    [
        ({}, 0, "processes: 0 won't do"),
        ({}, 5, "processes: 5, but there are 4 of the device"),
        ({"effective_batch": 2}, 3, "each device needs a row of it"),
        ({"processes": 1, "optimizer": "adafactor"}, 2, "adafactor's update needs whole rows"),
        ({"processes": 1, "compile": True}, 2, "a sharded model is not compiled"),
        ({"processes": 1, "kernels": "compiled", "compile": True}, 2, "a sharded model is not compiled"),
    ],
)
def test_what_can_t_be_is_refused_and_changes_nothing(
    changes: dict[str, Any], count: int, said: str, four_gpus: None
) -> None:
    folder = run(**changes)
    before = folder.plan_file.read_bytes()
    with pytest.raises(UserError, match=said):
        processes.change(folder, count)
    assert folder.plan_file.read_bytes() == before
