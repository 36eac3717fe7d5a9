"""How many devices a run takes: by the box, by what the user set, by the rows of an update, by what can be sharded."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backend.answers import Answers
from backend.errors import UserError
from backend.planner import devices, jobs
from backend.planner.compare import compare
from backend.planner.device import Card, Device, Pool
from backend.planner.estimates import Comparison
from tests.shapes import A100_80, CPU, model, rows

GIB = 2**30
CARDS = tuple(Card(f"GPU-{i}", i, A100_80.memory_bytes, (78 - i) * GIB, idle=i < 3) for i in range(4))
BOX = replace(A100_80, here=True, count=3, uuids=("GPU-0", "GPU-1", "GPU-2"), pool=Pool(CARDS, "This box has 4 GPUs"))


def planned(*settings: str, device: Device = BOX) -> Comparison:
    return compare(Answers(model="8b", data="rows.jsonl", set=settings), device, model(), rows(5000))


def test_all_idle_ones_train_and_cost() -> None:
    seen = planned()
    assert {x.plan.processes for x in seen.methods.values()} == {3}
    one = planned("processes=1").methods["lora"]
    three = seen.methods["lora"]
    assert three.origin["processes"] == "the devices"
    assert three.hours.point < one.hours.point / 2
    assert three.cost_usd is not None and seen.device.price is not None
    assert three.cost_usd.point == pytest.approx(three.hours.point * seen.device.price.typical * 3)


def test_fewer_are_the_freest_of_the_box_and_only_they_cost() -> None:
    seen = planned("processes=2")
    assert (seen.device.label, seen.device.uuids) == (f"2 x {A100_80.name}", ("GPU-0", "GPU-1"))
    assert seen.device.free_bytes == 77 * GIB
    assert seen.methods["lora"].origin["processes"] == "you"
    assert "This box has 4 GPUs; a run trains on 2 of them, GPU 0 and 1." in seen.notes
    assert jobs.job(seen, "lora").device_uuids == ("GPU-0", "GPU-1")


def test_a_gpu_in_use_is_taken_where_the_user_says_so() -> None:
    seen = planned("processes=4")
    assert (seen.device.count, seen.device.free_bytes) == (4, 75 * GIB)


def test_fewer_than_were_named_are_planned_for() -> None:
    seen = planned("processes=2", device=devices.named("A100-80GB:4"))
    assert (seen.device.count, seen.methods["full"].plan.processes) == (2, 2)


@pytest.mark.parametrize(
    ("device", "said"),
    [
        (BOX, "processes: 5, but there are 4 of the device; leave it out"),
        (devices.named("A100-80GB:4"), "processes: 5, but there are 4 of the device; say --gpu NAME:5"),
        (CPU, "processes: 5, but this CPU has cores for 1; set processes to at most 1"),
    ],
)
def test_more_than_there_are_is_refused(device: Device, said: str) -> None:
    with pytest.raises(UserError, match=said) as refusal:
        planned("processes=5", device=device)
    assert refusal.value.field == "processes"


def test_each_device_has_a_row_of_the_update() -> None:
    seen = planned("effective_batch=2")
    lora = seen.methods["lora"]
    assert (lora.plan.processes, seen.device.count) == (2, 2)
    assert lora.origin["processes"] == "effective_batch is 2: each device needs a row of it"
    with pytest.raises(UserError, match=r"processes: 3, but effective_batch is 2 .* set processes to at most 2"):
        planned("effective_batch=2", "processes=3")


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        ("optimizer=adafactor", "adafactor's update needs whole rows of a weight"),
        ("compile=true", "a sharded model is not compiled"),
    ],
)
def test_what_cannot_be_sharded_trains_on_one(setting: str, why: str) -> None:
    seen = planned(setting)
    full, lora = seen.methods["full"], seen.methods["lora"]
    assert (full.plan.processes, full.origin["processes"], lora.plan.processes) == (1, why, 3)
    assert full.cost_usd is not None and seen.device.price is not None
    assert full.cost_usd.point == pytest.approx(full.hours.point * seen.device.price.typical)
    assert planned(setting, "processes=2").methods["full"].plan.processes == 1
    assert len(jobs.job(seen, "full").device_uuids) == 1
    with pytest.raises(UserError, match=f"{why}, and processes is 2; leave .* out, or set processes to 1") as refusal:
        planned(setting, "processes=2", "method=full")
    assert refusal.value.field == setting.partition("=")[0]
    assert planned(setting, "method=full", "processes=1").methods["full"].plan.processes == 1
    assert planned(setting, "method=lora", "processes=2").methods["lora"].plan.processes == 2


def test_a_cpu_is_one_unless_the_user_shares_it_between_processes() -> None:
    cpu = replace(CPU, cores=4, memory_bytes=64 * GIB, free_bytes=64 * GIB, flops_per_second=4e11)
    alone = planned(device=cpu)
    assert alone.device.count == 1 and alone.methods["lora"].plan.processes == 1
    shared = planned("processes=2", device=cpu)
    assert (shared.device.count, shared.methods["lora"].plan.processes) == (2, 2)
    assert (shared.device.free_bytes, shared.device.flops_per_second) == (32 * GIB, 2e11)
    assert shared.device.label.endswith(", 2 processes")
    with pytest.raises(UserError, match="processes: 5, but this CPU has cores for 4; set processes to at most 4"):
        planned("processes=5", device=cpu)


@pytest.mark.parametrize("setting", ["compile=true", "kernels=compiled"])
def test_a_compiled_whole_model_takes_one_device_however_that_is_said(setting: str) -> None:
    two = replace(A100_80, count=2)
    found = compare(Answers(set=(setting,)), two, model(), rows(1000))
    assert {method: seen.plan.processes for method, seen in found.methods.items()} == {"lora": 2, "qlora": 2, "full": 1}
    assert all(seen.plan.compile for seen in found.methods.values())
