"""A torch that can't use the GPU is an obstacle to every method, with what to do about it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backend.answers import METHODS, Answers
from backend.errors import DoesNotFit
from backend.hardware import Hardware, TorchBuild
from backend.planner import devices
from backend.planner.compare import compare
from backend.planner.estimates import Comparison
from tests.backend.planner.test_devices import RTX_4090, box
from tests.shapes import LLAMA_1B, model, rows
from tui.commands.train import chosen

V100 = replace(RTX_4090, name="Tesla V100-SXM2-32GB", compute_capability=(7, 0))
CU130, CU128 = TorchBuild("2.13.0+cu130", (13, 0), None), TorchBuild("2.9.0+cu128", (12, 8), None)


def planned(hardware: Hardware) -> Comparison:
    return compare(Answers(), devices.here(replace(hardware, disk_free_bytes=10**13)), model(LLAMA_1B), rows(400))


@pytest.mark.parametrize(
    ("hardware", "said"),
    [
        (box(V100, torch=CU130), "has no kernels for the Tesla V100-SXM2-32GB (compute capability 7.0)"),
        (replace(box(RTX_4090, torch=CU130), driver_cuda=(12, 4)), "update the driver, or install a torch built for"),
        (box(replace(V100, name="Tesla P100", compute_capability=(6, 0)), torch=CU128), "for the Tesla P100"),
    ],
)
def test_nothing_is_recommended_and_the_reason_is_the_fix(hardware: Hardware, said: str) -> None:
    seen = planned(hardware)
    assert seen.recommended is None
    assert said in seen.reasons[0]
    for method in METHODS:
        assert any(said in x for x in seen.methods[method].obstacles)
    with pytest.raises(DoesNotFit, match="torch"):
        chosen(seen, "lora", anyway=False)
    assert chosen(seen, "lora", anyway=True) == "lora"


def test_a_torch_that_suits_is_none() -> None:
    assert planned(box(RTX_4090, torch=CU130)).recommended is not None
    assert planned(box(V100, torch=CU128)).recommended is not None


def test_it_is_said_once() -> None:
    hardware = box(V100, torch=CU130)
    sentence = devices.here(hardware).obstacles[0]
    noted = replace(hardware, notes=(f"{sentence} To fix it: look.", "Another note."))
    notes = devices.here(noted).notes
    assert "Another note." in notes
    assert not any(sentence in note for note in notes)


def test_another_gpu_is_planned_for_all_the_same() -> None:
    assert devices.named("V100 SXM2 32GB").obstacles == ()
