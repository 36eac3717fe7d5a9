"""The real NVML bindings over an emulated library: only gcc is needed for these."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.emulated import boxes, build

LOOK = """
import json, dataclasses
from backend import hardware
found = hardware.detect()
print(json.dumps({
    "gpus": [[x.name, x.profile, x.uuid, x.memory_bytes, x.reserved_bytes, x.free_bytes, x.compute_capability,
              [[p.pid, p.memory_bytes, p.computes] for p in x.processes]] for x in found.gpus],
    "absence": found.no_gpu and found.no_gpu.kind, "driver": found.driver, "cuda": found.driver_cuda,
    "readings": [[x.utilisation_percent, x.temperature_c, x.memory_used_bytes] for x in hardware.read_gpus()],
}))
"""
MIB = 2**20


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        return build.nvml(tmp_path_factory.mktemp("nvml"))
    except build.CannotBuild as missing:
        pytest.skip(f"no emulated NVML: {missing}")


def look(box: boxes.Box, library: Path) -> dict[str, Any]:
    own = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    environment = {**own, "LD_LIBRARY_PATH": str(library), **box.variables()}
    done = subprocess.run(
        [sys.executable, "-c", LOOK], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_card_with_a_desktop(library: Path) -> None:
    seen = look(boxes.BOXES["4090 with a desktop"], library)
    (found,) = seen["gpus"]
    total, reserved = 24564 * MIB, 500 * MIB
    assert found[:2] == ["NVIDIA GeForce RTX 4090", ""]
    assert found[3:6] == [total, reserved, total - reserved - 1100 * MIB]
    assert found[6] == [8, 9]
    assert [x[1:] for x in found[7]] == [[700 * MIB, False], [400 * MIB, False]]
    assert (seen["driver"], seen["cuda"]) == ("580.95.05", [13, 0])
    assert seen["readings"] == [[87, 61, 1100 * MIB]]


def test_slices_and_several_cards(library: Path) -> None:
    seen = look(boxes.BOXES["MIG"], library)
    assert [x[1] for x in seen["gpus"]] == ["1g.10gb", "3g.40gb"]
    assert [x[6] for x in seen["gpus"]] == [[8, 0]] * 2
    assert all(reading[0] is None for reading in seen["readings"])
    assert len(look(boxes.BOXES["eight cards"], library)["gpus"]) == 8


def test_wsl_tells_no_programs_and_a_broken_driver_no_gpu(library: Path) -> None:
    (found,) = look(boxes.BOXES["WSL 2"], library)["gpus"]
    assert found[7] == []
    broken = boxes.emulating(boxes.BOXES["A100"], EMULATED_NVML="18")
    assert look(broken, library)["absence"] == "version-mismatch"
