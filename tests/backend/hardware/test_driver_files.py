"""A container that has the GPU, and not the library that describes it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pynvml
import pytest

from backend.hardware import TorchBuild, detect, driver_files
from backend.planner import devices
from tests.backend.hardware.conftest import Box

NO_LIBRARY = pynvml.NVML_ERROR_LIBRARY_NOT_FOUND
INFORMATION = """Model: \t\t NVIDIA A100-SXM4-80GB
IRQ:   \t\t 120
GPU UUID: \t GPU-5a1f0000-1111-2222-3333-{minor:012d}
Device Minor: \t {minor}
"""


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Devices and `/proc/driver/nvidia` of a box, empty at first."""
    for name, folder in (("DEVICES", tmp_path / "dev"), ("PROC", tmp_path / "proc")):
        folder.mkdir()
        monkeypatch.setattr(driver_files, name, folder)
    real = driver_files.look
    monkeypatch.setattr(driver_files, "look", lambda: real(tmp_path / "dev", tmp_path / "proc"))
    for name in ("NVIDIA_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def put(files: Path, count: int, *, described: bool) -> None:
    (files / "dev" / "nvidiactl").touch()
    for minor in range(count):
        (files / "dev" / f"nvidia{minor}").touch()
        if described:
            folder = files / "proc" / "gpus" / f"0000:0{minor}:00.0"
            folder.mkdir(parents=True)
            (folder / "information").write_text(INFORMATION.format(minor=minor))
    (files / "proc" / "version").write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar 5\n")


def test_gpus_are_known_by_the_kernel_modules_files(box: Box, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    box(init_error=NO_LIBRARY)
    put(files, 2, described=True)
    found = detect()
    assert [gpu.name for gpu in found.gpus] == ["NVIDIA A100-SXM4-80GB"] * 2
    assert (found.gpus[1].uuid, found.gpus[1].compute_capability) == (
        "GPU-5a1f0000-1111-2222-3333-000000000001",
        (8, 0),
    )
    assert (found.driver, found.nvml, found.no_gpu) == ("550.54.15", False, None)
    assert any("libnvidia-ml.so.1" in note and "NVIDIA_DRIVER_CAPABILITIES" in note for note in found.notes)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert [gpu.index for gpu in detect().gpus] == [1]


def test_its_memory_is_the_catalogues_and_segments_do_not_grow(box: Box, files: Path) -> None:
    box(init_error=NO_LIBRARY)
    put(files, 1, described=True)
    device = devices.here(replace(detect(), torch=TorchBuild("2.13.0", (13, 0), None)))
    assert (device.kind, device.expandable_segments) == ("cuda", False)
    assert 0 < device.memory_bytes <= 80 * 2**30


def test_a_gpu_without_a_description_is_no_cpu_box(box: Box, files: Path) -> None:
    box(init_error=NO_LIBRARY)
    put(files, 1, described=False)
    found = detect()
    assert found.no_gpu is not None
    assert found.no_gpu.kind == "no-nvml"
    assert "has an NVIDIA GPU (/dev/nvidia0)" in found.no_gpu.reason
    assert "has an NVIDIA GPU" in devices.here(found).notes[0]


def test_a_variable_that_promises_a_gpu_is_named(box: Box, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    box(init_error=NO_LIBRARY)
    absence = detect().no_gpu
    assert absence is not None
    assert absence.reason == "There is no NVIDIA driver library on this box."
    monkeypatch.setenv("NVIDIA_VISIBLE_DEVICES", "all")
    absence = detect().no_gpu
    assert absence is not None
    assert "NVIDIA_VISIBLE_DEVICES=all says that there should be a GPU" in absence.reason
