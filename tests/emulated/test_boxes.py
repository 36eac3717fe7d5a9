"""What fttui says of each box, and that it trains there: a real torch over an emulated driver."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.bench import gpu
from tests.emulated import boxes
from tests.emulated.conftest import PYTHON, In

UNUSABLE = {"V100": "no kernels for the Tesla V100", "an old driver": "needs a driver for CUDA 13"}
"""Boxes that the torch of these tests (CUDA 13) can't use."""
USABLE = [name for name in boxes.BOXES if name not in UNUSABLE]
SMALL = boxes.gpu("Tesla T4", "7.5", 3000, 40)
"""A card on which a run must change its settings."""
LARGE = ("micro_batch=16", "packing=false", "chunked_loss=false", "checkpointing=false")


@pytest.mark.parametrize("name", boxes.BOXES)
def test_detection_plan_doctor_and_wizard(name: str, inside: In) -> None:
    seen, box = inside(name, "look"), boxes.BOXES[name]
    slices = sum(str(gpu.get("slices", "")).count("/") // 3 for gpu in box.gpus)
    assert len(seen["gpus"]) == (slices or len(box.gpus))
    assert seen["doctor"]["allocator"][0] == "ok"
    assert str(box.gpus[0]["name"]).removeprefix("NVIDIA ").split(" MIG")[0] in seen["wizard"]
    reason = UNUSABLE.get(name)
    if reason:
        assert seen["recommended"] is None
        assert reason in seen["reasons"][0]
        assert reason in seen["doctor"]["torch build"][1]
        assert seen["doctor"]["torch build"][0] == "missing"
        assert reason in seen["wizard"]
    else:
        assert seen["recommended"] or "host RAM" in seen["reasons"][0], "the RAM is this machine's own"
        assert seen["doctor"]["torch build"][0] == "ok"


def test_a_desktop_takes_memory_and_does_not_compute(inside: In) -> None:
    seen = inside("4090 with a desktop", "look")
    assert seen["gib"] == pytest.approx((24564 - 500 - 1100) / 1024, abs=0.1)
    assert "4242" in seen["wizard"]


def test_several_cards_are_planned_together(inside: In) -> None:
    assert inside("two cards", "look")["device"].startswith("2 x A100")
    eight = inside("eight cards", "look")
    assert eight["device"].startswith("8 x H100")
    assert eight["doctor"]["shared memory"][0] in ("ok", "warn")


def test_a_turing_card_computes_in_float16(inside: In) -> None:
    assert inside("T4", "look")["precision"] == "float16"
    assert inside("5090", "look")["precision"] == "bfloat16"


@pytest.mark.parametrize("name", USABLE)
def test_a_whole_run(name: str, inside: In) -> None:
    said = inside(name, "whole_run", "lora")
    assert (said["state"], said["steps"], said["warned"]) == ("done", 4, []), said["log"]
    assert said["gpu"] is not None, "the GPU panel has readings, of a MIG slice too"


@pytest.mark.parametrize("method", ["qlora", "full"])
@pytest.mark.parametrize("name", ["T4", "H100", "5090"])
def test_the_other_methods(name: str, method: str, inside: In) -> None:
    said = inside(name, "whole_run", method, "max_steps=2")
    assert (said["state"], said["steps"], said["warned"]) == ("done", 2, []), said["log"]


@pytest.mark.parametrize("method", ["lora", "qlora", "full"])
def test_measuring_forgetting_and_a_task_take_no_more_memory_than_training(method: str, inside: In) -> None:
    """Even for the leanest plan: recomputed blocks, the loss in chunks, one sequence at a time."""
    lean = ("max_steps=2", "checkpointing=true", "chunked_loss=true", "micro_batch=1", "max_length=1024")
    said = inside("A100", "whole_run", method, *lean, "measure_forgetting=true", "task=number", "task_tokens=16")
    assert said["state"] == "done", said["log"]
    peaks = said["peaks"]
    assert max(peaks["forgetting"], peaks["task"], peaks["sample"]) <= peaks["train"]


def test_eight_bit_states_in_the_backward_pass(inside: In) -> None:
    changes = ("optimizer=adamw_8bit", "optimizer_in_backward=true", "weights_dtype=bfloat16", "max_grad_norm=0")
    said = inside("A100", "whole_run", "full", "max_steps=2", *changes)
    assert (said["state"], said["steps"]) == ("done", 2), said["log"]


RELIEF: dict[str, dict[str, Any]] = {
    "a whole card": {},
    "WSL 2": {"EMULATED_WSL": "1"},
    "NVML without connections": {"EMULATED_NO_FABRIC": "1"},
}


@pytest.mark.parametrize("kind", RELIEF)
@pytest.mark.parametrize("method", ["lora", "qlora", "full"])
def test_out_of_memory_is_a_detour(kind: str, method: str, inside: In) -> None:
    said = inside(boxes.Box((SMALL,), RELIEF[kind]), "whole_run", method, "max_length=2048", *LARGE)
    assert said["state"] == "done", said["log"]
    assert said["out_of_memory"]
    assert "micro-batch 16 -> 8" in said["replanned"][0]
    assert said["steps"] == 4


def test_out_of_memory_on_a_mig_slice(inside: In) -> None:
    small = boxes.gpu(*boxes.A100, slices="1g.3gb/11111111-0000-0000-0000-000000000000/2900/1")
    said = inside(boxes.Box((small,)), "whole_run", "lora", "max_length=2048", *LARGE)
    assert said["state"] == "done", said["log"]
    assert said["replanned"]


def test_whether_segments_grow_is_tried_once(inside: In, fttui_home: Path) -> None:
    """Emulated WSL refuses them; if no file says that it is WSL, only a try can tell."""
    inside("WSL 2", "whole_run", "lora", "max_steps=1")
    assert b"false" in (fttui_home / "segments.json").read_bytes()
    assert not inside("WSL 2", "look")["expandable"]
    assert inside("A100", "whole_run", "lora", "max_steps=1")["state"] == "done"
    assert inside("A100", "look")["expandable"]


ROWS = [
    ("A100", "1B", "lora", "2048", "packed", "checkpointing=false"),
    ("A100", "1B", "qlora", "4096", "packed", "checkpointing=true", "chunked_loss=true"),
    ("H200", "1B", "full", "2048", "rows", "checkpointing=true", "chunked_loss=true"),
    ("T4", "1B", "lora", "4096", "rows", "checkpointing=true", "chunked_loss=true", "precision=float16"),
]


@pytest.mark.parametrize("row", ROWS, ids=[" ".join(row[:5]) for row in ROWS])
def test_predicted_memory_is_the_allocators(row: tuple[str, ...], inside: In) -> None:
    """The T4's row holds only because keys are repeated: torch's plain kernel would take 10.9 GiB."""
    seen = inside(row[0], "step", *row[1:])
    assert seen["predicted_allocated"] == pytest.approx(seen["allocated"], rel=0.02)
    assert seen["reserved"] <= 1.03 * seen["predicted_reserved"]
    waits = {name: count for name, count in seen["counted"].items() if name != "launches"}
    assert waits == {}, "the host waits for nothing in a step"


@pytest.mark.timeout(1800)
def test_the_ten_minute_script_goes_through_all_of_its_questions(libraries: Path, tmp_path: Path) -> None:
    """A tiny model on a tiny card: values mean nothing, but every part runs on CUDA tensors and makes its row."""
    lines = tmp_path / "gpu.jsonl"
    command = [PYTHON, "-m", "tests.bench.gpu", "--try", "--minutes", "29", "--patience", "5"]
    own = ["--parts", "tests.emulated.gpu_parts", "--lines"]
    small = boxes.Box((boxes.gpu("NVIDIA A100-SXM4-80GB", "8.0", 6000, 108),))
    done = boxes.run(small, libraries, [*command, *own, str(lines)], seconds=1750)
    assert done.returncode == 0, done.stderr[-3000:]
    answers = [json.loads(line) for line in lines.read_text().splitlines()]
    asked = list(gpu.questions("small", "big", "tiny", 768))
    assert [x["part"] for x in answers] == ["box", "make", *(x.part for x in asked)]
    assert [x for x in answers if "failed" in x] == []
    assert all(x["state"] == "done" for x in answers if x["part"] in ("relief", "default")), answers
    assert all(x["out_of_memory"] for x in answers if x["part"] == "relief")
    assert "NVIDIA A100-SXM4-80GB" in done.stdout and "not answered" not in done.stdout


def test_this_python_is_the_one_that_was_asked_for(libraries: Path) -> None:
    assert os.access(libraries / "libcuda.so.1", os.R_OK)
