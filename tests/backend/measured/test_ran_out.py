from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from backend.measured import ran_out
from backend.plan.job import Job, Prediction
from backend.plan.plan import Plan
from backend.planner import devices
from backend.planner.device import Device
from backend.units import GIB


def device() -> Device:
    return replace(devices.named("4090"), here=True, free_bytes=22 * GIB)


def job(peak: int, name: str | None = None) -> Job:
    predicted = Prediction(peak, peak, 24 * GIB, 1.0, 0.5, 2.0, 1000.0)
    return Job("m", "m", "d", Plan(), "cuda", name or device().name, predicted=predicted)


def test_later_plans_stay_below_what_ran_out(fttui_home: Path) -> None:
    assert ran_out.bounded(device()) == device()
    ran_out.remember(job(20 * GIB))
    bounded = ran_out.bounded(device())
    assert bounded.free_bytes == 20 * GIB
    assert "A run predicted to take 20.0 GiB ran out of memory here on " in bounded.notes[-1]
    assert str(fttui_home) in bounded.notes[-1]
    ran_out.remember(job(18 * GIB))
    ran_out.remember(job(19 * GIB))
    assert ran_out.bounded(device()).free_bytes == 18 * GIB


def test_only_this_device_of_this_box(fttui_home: Path) -> None:
    ran_out.remember(job(10 * GIB, "another card"))
    assert ran_out.bounded(device()) == device()
    ran_out.remember(job(10 * GIB))
    assert ran_out.bounded(replace(device(), here=False)).free_bytes == 22 * GIB
    assert ran_out.bounded(replace(device(), free_bytes=9 * GIB)).free_bytes == 9 * GIB


def test_it_is_forgotten_and_damage_harms_nothing(fttui_home: Path) -> None:
    ran_out.remember(replace(job(GIB), predicted=None))
    assert not ran_out.file().exists()
    ran_out.remember(job(10 * GIB))
    old = time.time() - 60 * ran_out.DAY_SECONDS
    text = ran_out.file().read_text().replace('"t":', f'"t":{old},"was":')
    ran_out.file().write_text(text)
    assert ran_out.bounded(device()) == device()
    ran_out.remember(job(12 * GIB))
    assert ran_out.bounded(device()).free_bytes == 12 * GIB, "the old one counts no more"
    ran_out.file().write_text("{")
    assert ran_out.bounded(device()) == device()
