"""What finished runs and runs out of memory on this box change in later comparisons, and what is said of it."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from backend.answers import Answers
from backend.measured import calibration, ran_out, records
from backend.measured.records import Record
from backend.plan.job import Job, Prediction
from backend.plan.plan import Plan
from backend.planner import devices, jobs, learned
from backend.planner.compare import compare
from backend.planner.device import Device
from backend.units import GIB
from tests.backend.measured.test_calibration import HERE, record
from tests.shapes import A100_80, LLAMA_1B, model, rows


def keep(*found: Record) -> None:
    records.file().write_bytes(b"".join(msgspec.json.encode(one) + b"\n" for one in found))


def test_a_comparison_is_corrected_and_says_so() -> None:
    installed = calibration._installed()  # records of other versions count less
    keep(*(record(run=str(i), versions=installed) for i in range(3)))
    device = learned.calibrated(HERE)
    before, after = (compare(Answers(), x, model(LLAMA_1B), rows(5000)) for x in (HERE, device))
    assert after.methods["lora"].tokens_per_second.point < before.methods["lora"].tokens_per_second.point
    assert after.methods["qlora"].tokens_per_second == before.methods["qlora"].tokens_per_second
    said = [note for note in after.notes if "corrected by" in note]
    assert said[0] == (
        "LoRA is corrected by 3 runs on this box: weights ×1.09, activations ×1.35, slack ×1.04, speed ×0.83, "
        "start and saving ×0.55, CUDA context −409 MiB."
    )
    assert said[1].startswith("QLoRA is corrected by 3 runs on this box, its speed not yet: ")
    assert "speed ×" not in said[1]
    assert not [note for note in before.notes if "corrected" in note]


def test_a_device_elsewhere_is_never_corrected() -> None:
    keep(record())
    assert learned.calibrated(A100_80) is A100_80


def test_a_correction_never_builds_on_another() -> None:
    keep(record(run="1"), record(run="2"))
    first = jobs.job(compare(Answers(), HERE, model(LLAMA_1B), rows(5000)), "lora")
    later = jobs.job(compare(Answers(), learned.calibrated(HERE), model(LLAMA_1B), rows(5000)), "lora")
    assert first.predicted is not None and later.predicted is not None
    assert later.predicted.peak_bytes != first.predicted.peak_bytes and later.predicted.corrected_by_runs == 2
    assert later.plan == first.plan
    assert later.predicted.uncorrected == first.predicted.uncorrected is not None


def test_runs_supply_a_speed_that_is_not_known() -> None:
    unknown = replace(HERE, name="RTX 7090", flops_per_second=0.0)
    first = jobs.job(compare(Answers(), unknown, model(LLAMA_1B), rows(5000)), "lora")
    assert first.predicted is not None and first.predicted.hours is None
    alone = first.predicted.uncorrected
    assert alone is not None and alone.tokens_per_second == 0 < alone.flops_per_token
    keep(record(unknown, predicted=alone, tokens_per_second=1234.0))
    after = compare(Answers(), learned.calibrated(unknown), model(LLAMA_1B), rows(5000))
    speed = after.methods["lora"].tokens_per_second
    assert speed.point == pytest.approx(1234) and speed.low < 1100 < 1350 < speed.high
    assert after.methods["qlora"].hours.point != after.methods["qlora"].hours.point, "not a number"
    assert not any("is not known" in note for note in after.notes)


def device() -> Device:
    return replace(devices.named("4090"), here=True, free_bytes=22 * GIB)


def job(peak: int, name: str | None = None) -> Job:
    predicted = Prediction(peak, peak, 24 * GIB, 1.0, 0.5, 2.0, 1000.0)
    return Job("m", "m", "d", Plan(), "cuda", name or device().name, predicted=predicted)


def test_later_plans_stay_below_what_ran_out(fttui_home: Path) -> None:
    assert learned.bounded(device()) == device()
    ran_out.remember(job(20 * GIB))
    bounded = learned.bounded(device())
    assert bounded.free_bytes == 20 * GIB
    assert "A run predicted to take 20.0 GiB ran out of memory here on " in bounded.notes[-1]
    assert str(fttui_home) in bounded.notes[-1]
    ran_out.remember(job(18 * GIB))
    ran_out.remember(job(19 * GIB))
    assert learned.bounded(device()).free_bytes == 18 * GIB


def test_only_this_device_of_this_box(fttui_home: Path) -> None:
    ran_out.remember(job(10 * GIB, "another card"))
    assert learned.bounded(device()) == device()
    ran_out.remember(job(10 * GIB))
    assert learned.bounded(replace(device(), here=False)).free_bytes == 22 * GIB
    assert learned.bounded(replace(device(), free_bytes=9 * GIB)).free_bytes == 9 * GIB


def test_it_is_forgotten_and_damage_harms_nothing(fttui_home: Path) -> None:
    ran_out.remember(replace(job(GIB), predicted=None))
    assert not ran_out.file().exists()
    ran_out.remember(job(10 * GIB))
    old = time.time() - 60 * ran_out.DAY_SECONDS
    text = ran_out.file().read_text().replace('"t":', f'"t":{old},"was":')
    ran_out.file().write_text(text)
    assert learned.bounded(device()) == device()
    ran_out.remember(job(12 * GIB))
    assert learned.bounded(device()).free_bytes == 12 * GIB, "the old one counts no more"
    ran_out.file().write_text("{")
    assert learned.bounded(device()) == device()
