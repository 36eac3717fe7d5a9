from __future__ import annotations

import os
from collections.abc import Callable

import pynvml
import pytest

from backend.hardware import TorchBuild, detect, host, read_gpus, torch_build
from tests.backend.hardware.boxes import GIB, MIB, RESERVED, Card, Nvml, mig_card
from tui.widgets import hardware_preview

Box = Callable[..., Nvml]
NO_PERMISSION, NOT_SUPPORTED = pynvml.NVML_ERROR_NO_PERMISSION, pynvml.NVML_ERROR_NOT_SUPPORTED


@pytest.mark.parametrize(
    ("error", "kind", "word"),
    [
        (pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, "no-library", "no NVIDIA driver library"),
        (pynvml.NVML_ERROR_DRIVER_NOT_LOADED, "no-driver", "not loaded"),
        (NO_PERMISSION, "no-permission", "may not talk"),
        (pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH, "version-mismatch", "restart"),
        (pynvml.NVML_ERROR_UNKNOWN, "failed", "does not answer: Unknown Error"),
    ],
)
def test_a_driver_that_cannot_be_used_is_a_reason_and_no_crash(box: Box, error: int, kind: str, word: str) -> None:
    box(init_error=error)
    found = detect()
    assert found.gpus == ()
    assert found.no_gpu is not None
    assert found.no_gpu.kind == kind
    assert word in found.no_gpu.reason
    assert read_gpus() == ()


def test_a_driver_without_a_gpu(box: Box) -> None:
    nvml = box()
    found = detect()
    assert found.no_gpu is not None
    assert (found.no_gpu.kind, found.driver, found.driver_cuda) == ("no-gpu", "580.65.06", (13, 0))
    assert nvml.open == 0


def test_two_gpus_with_their_readings(box: Box) -> None:
    nvml = box(Card(used=3 * GIB), Card("NVIDIA L4", "GPU-bbbb", 23034 * MIB))
    found = detect()
    first, second = found.gpus
    assert (first.index, first.uuid, first.compute_capability) == (0, "GPU-aaaa1111", (8, 9))
    assert (first.memory_bytes, first.reserved_bytes) == (24564 * MIB, RESERVED)
    assert first.free_bytes == 24564 * MIB - 3 * GIB - RESERVED
    assert (second.index, second.name) == (1, "NVIDIA L4")
    assert first.reading.utilisation_percent == 97
    assert (first.reading.power_watts, first.reading.power_limit_watts) == (402.5, 450.0)
    assert (first.reading.temperature_c, first.reading.memory_used_bytes) == (71, 3 * GIB)
    assert (found.no_gpu, found.hidden_gpus) == (None, 0)
    assert nvml.open == 0


def test_who_uses_a_gpu_by_pid_name_and_memory(box: Box) -> None:
    here, gone = os.getpid(), 2**22 + 1  # beyond the largest pid of Linux
    box(Card(computing=[(here, 2 * GIB), (gone, None)], drawing=[(here, GIB), (os.getppid(), GIB)]))
    by_pid = {process.pid: process for process in detect().gpus[0].processes}
    assert not by_pid[os.getppid()].computes
    mine, foreign = by_pid[here], by_pid[gone]
    assert mine.computes
    assert (mine.pid, mine.memory_bytes) == (here, 2 * GIB)
    assert mine.name
    assert (foreign.pid, foreign.name, foreign.memory_bytes) == (gone, None, None)


def test_what_a_container_refuses_is_none_with_its_reason(box: Box) -> None:
    refused = ("nvmlDeviceGetPowerUsage", "nvmlDeviceGetTemperature", "nvmlDeviceGetComputeRunningProcesses")
    box(Card(refuses=dict.fromkeys(refused, NOT_SUPPORTED)))
    gpu = detect().gpus[0]
    assert (gpu.reading.power_watts, gpu.reading.temperature_c, gpu.processes) == (None, None, ())
    assert gpu.reading.utilisation_percent == 97
    assert gpu.refused["power"] == "Not Supported"
    assert set(gpu.refused) == {"power", "temperature", "processes"}


def test_a_gpu_whose_memory_cannot_be_read(box: Box) -> None:
    box(Card("NVIDIA GB10", refuses={"nvmlDeviceGetMemoryInfo": NOT_SUPPORTED}))
    gpu = detect().gpus[0]
    assert (gpu.memory_bytes, gpu.free_bytes, gpu.refused["memory"]) == (None, None, "Not Supported")


def test_an_older_driver_tells_the_memory_without_its_reserve(box: Box) -> None:
    box(Card(v2=False))
    gpu = detect().gpus[0]
    assert (gpu.memory_bytes, gpu.reserved_bytes) == (24564 * MIB, None)
    assert gpu.refused == {}


def test_a_gpu_that_may_not_be_opened_leaves_the_others(box: Box) -> None:
    box(Card(refuses={"nvmlDeviceGetHandleByIndex": NO_PERMISSION}), Card(uuid="GPU-2"))
    found = detect()
    assert [gpu.uuid for gpu in found.gpus] == ["GPU-2"]
    assert any("GPU 0 could not be opened" in note for note in found.notes)


def test_a_box_whose_only_gpu_may_not_be_opened(box: Box) -> None:
    box(Card(refuses={"nvmlDeviceGetHandleByIndex": NO_PERMISSION}))
    absence = detect().no_gpu
    assert absence is not None
    assert absence.kind == "no-permission"


def test_mig_slices_are_devices_with_their_own_memory(box: Box) -> None:
    box(mig_card())
    large, small = detect().gpus
    assert (large.name, large.profile, small.profile) == ("NVIDIA A100-SXM4-40GB", "3g.20gb", "1g.5gb")
    assert (large.memory_bytes, small.memory_bytes) == (20096 * MIB, 4864 * MIB)
    assert large.compute_capability == (8, 0)
    assert large.mig is not None
    assert large.mig.parent_index == 0
    assert large.mig.compute_share == pytest.approx(3 / 7)
    assert large.mig.memory_share == pytest.approx(20096 / 40960)
    assert large.reading.utilisation_percent is None


def test_a_gpu_in_mig_mode_without_slices(box: Box) -> None:
    card = mig_card()
    card.slices = []
    box(card)
    found = detect()
    assert found.gpus == ()
    assert found.no_gpu is not None
    assert "MIG mode" in found.no_gpu.reason


def test_visible_devices_by_uuid_keep_the_variables_order(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    box(Card(uuid="GPU-1"), Card(uuid="GPU-2"), Card(uuid="GPU-3"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-3,GPU-1")
    found = detect()
    assert [gpu.uuid for gpu in found.gpus] == ["GPU-3", "GPU-1"]
    assert found.hidden_gpus == 1
    assert [reading.index for reading in read_gpus()] == [0, 1]


def test_visible_devices_that_hide_all(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    box(Card())
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    found = detect()
    assert found.no_gpu is not None
    assert (found.no_gpu.kind, found.hidden_gpus) == ("hidden", 1)


def test_an_entry_that_ends_the_list_is_named(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    box(Card(), Card(uuid="GPU-2"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,7,0")
    found = detect()
    assert [gpu.uuid for gpu in found.gpus] == ["GPU-2"]
    assert any("'7'" in note for note in found.notes)


def test_numbers_over_unlike_gpus_come_with_a_warning(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    box(Card(), Card("NVIDIA L4", "GPU-2"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert any("CUDA_DEVICE_ORDER" in note for note in detect().notes)
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    assert not any("CUDA_DEVICE_ORDER" in note for note in detect().notes)


def test_a_reading_opens_the_driver_once(box: Box) -> None:
    nvml = box(Card())
    assert read_gpus() == read_gpus()
    assert nvml.open == 1


def test_a_folder_that_cannot_be_made_is_a_note(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    box()
    monkeypatch.setenv("FTTUI_HOME", "/dev/null/fttui")
    found = detect()
    assert any("FTTUI_HOME" in note for note in found.notes)
    assert found.disk_path.is_dir()


def test_a_containers_small_shared_memory_is_a_note_for_several_gpus(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "shared_memory_bytes", lambda: 64 * MIB)
    box(Card(), Card(uuid="GPU-2"))
    assert any("/dev/shm holds 64 MiB" in note and "--shm-size" in note for note in detect().notes)
    box(Card())
    assert not any("/dev/shm" in note for note in detect().notes)


def test_a_torch_that_cannot_run_the_card_is_in_the_wizards_first_screen(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch_build, "installed", lambda: TorchBuild("2.13.0+cu130", (13, 0), None))
    box(Card("Tesla V100-SXM2-32GB", capability=(7, 0)))
    shown = " ".join(hardware_preview.preview(detect(), 200).plain.split())
    assert "has no kernels for the Tesla V100-SXM2-32GB (compute capability 7.0)" in shown
    assert "To fix it: see https://pytorch.org/get-started/locally." in shown
