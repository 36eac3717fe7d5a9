from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from packaging.requirements import Requirement

from backend import doctor, logind
from backend.doctor import Check, checks, evaluate, package
from backend.hardware import GpuProcess, Hardware, NotAvailable, Ram, TorchBuild, host, pci
from backend.measured import records
from backend.model import demo
from backend.planner import devices
from backend.training.selfcheck import FourBit
from tests.backend.measured.test_calibration import record
from tests.backend.planner.test_devices import RTX_4090, box

Looker = Callable[[Hardware], dict[str, Check]]
GIB = 2**30
CUDA = TorchBuild("2.13.0+cu130", (13, 0), None)
GOOD = FourBit("cpu", "bfloat16", 0.002, 0.002, 0.1)


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch) -> Looker:
    """All checks of a box by name, the 4-bit one without its process."""
    monkeypatch.setattr(doctor, "four_bit", lambda *_: evaluate(GOOD))
    return lambda hardware: {check.name: check for check in checks(hardware)}


def healthy() -> Hardware:
    return replace(box(RTX_4090, torch=CUDA), disk_free_bytes=500 * 10**9)


def test_a_healthy_box(look: Looker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logind, "kills_processes", lambda: False)
    found = look(healthy())
    wanted = {"python", "torch", "torch build", "GPU 0", "bfloat16", "4-bit training", "RAM", "disk", "FTTUI_HOME"}
    assert {name for name in wanted if found[name].state == "ok"} == wanted
    assert found["after logout"].state == "ok"
    assert "CUDA 13.0, driver 580 for CUDA up to 13.0" in found["torch build"].detail


def test_every_failed_check_that_can_be_fixed_says_how(look: Looker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pci, "has_nvidia_gpu", lambda: True)
    poor = replace(box(torch=None), ram=Ram(4 * GIB, 2 * GIB, limited=True), disk_free_bytes=10**9)
    found = look(poor)
    for name, state in {"torch build": "missing", "GPU": "warn", "RAM": "warn", "disk": "warn"}.items():
        assert found[name].state == state
        assert found[name].fix
    assert "limited by the container" in found["RAM"].detail


def test_a_torch_for_the_cpu_beside_a_gpu_is_missing_something(look: Looker) -> None:
    check = look(replace(healthy(), torch=TorchBuild("2.13.0+cpu", None, None)))["torch build"]
    assert (check.state, check.fix) == ("missing", "pip install --force-reinstall torch==2.13.0")


def test_a_gpu_in_use_names_its_user(look: Looker) -> None:
    busy = replace(RTX_4090, processes=(GpuProcess(7, "python", 3 * GIB), GpuProcess(8, None, None)))
    check = look(box(busy, torch=CUDA))["GPU 0"]
    assert check.state == "warn"
    assert "python (pid 7, 3.0 GiB), a program outside this container (pid 8)" in check.detail


def test_a_gpu_whose_memory_is_refused(look: Looker) -> None:
    mute = replace(RTX_4090, memory_bytes=None, free_bytes=None, refused={"memory": "Not Supported"})
    assert "Not Supported" in look(box(mute, torch=CUDA))["GPU 0"].detail


def test_a_gpu_that_is_hidden_says_what_to_unset(look: Looker) -> None:
    check = look(replace(box(), no_gpu=NotAvailable("hidden", "All are hidden.")))["GPU"]
    assert (check.state, check.fix) == ("warn", "unset CUDA_VISIBLE_DEVICES")


@pytest.mark.parametrize(("there", "fix"), [(True, "ubuntu-drivers"), (False, "")])
def test_a_driver_is_only_proposed_where_the_bus_shows_a_gpu(
    there: bool, fix: str, look: Looker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pci, "has_nvidia_gpu", lambda: there)
    check = look(replace(box(), no_gpu=NotAvailable("no-library", "There is no NVIDIA driver library.")))["GPU"]
    assert check.state == "warn" and (fix in check.fix if there else not check.fix)
    assert ("shows no NVIDIA GPU" in check.detail) != there


@pytest.mark.parametrize(
    ("version", "said"), [("2.28.9", "NCCL 2.28.9; a run now would train on 2 x RTX 4090"), (None, "")]
)
def test_of_several_gpus_nccl_is_named_where_it_can_be_told(
    version: str | None, said: str, look: Looker, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda name: version if name == "nvidia-nccl-cu13" else installed(name))
    idle = replace(RTX_4090, free_bytes=RTX_4090.memory_bytes)
    found = look(box(idle, replace(idle, index=1, uuid="GPU-2"), torch=CUDA))
    assert (found["several GPUs"].detail if said else "several GPUs" not in found) == (said or True)
    assert "several GPUs" not in look(healthy())


def test_an_old_gpu_has_no_bfloat16(look: Looker) -> None:
    assert look(box(replace(RTX_4090, compute_capability=(7, 5)), torch=CUDA))["bfloat16"].state == "warn"


def test_logout_that_ends_the_run(look: Looker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logind, "kills_processes", lambda: True)
    assert "systemd-run --user --scope" in look(healthy())["after logout"].fix


def test_a_home_that_cannot_be_written(look: Looker, monkeypatch: pytest.MonkeyPatch) -> None:
    hardware = healthy()
    monkeypatch.setenv("FTTUI_HOME", "/dev/null/fttui")
    monkeypatch.setattr(demo, "is_ready", lambda: False)
    assert look(hardware)["FTTUI_HOME"].state == "missing"


def test_runs_that_correct_the_predictions_are_counted(look: Looker) -> None:
    assert look(healthy())["calibration"].detail.startswith("no finished run yet")
    device = devices.here(healthy())
    kept = [record(device, run=str(i)) for i in range(2)]
    records.file().write_bytes(b"".join(msgspec.json.encode(one) + b"\n" for one in kept))
    check = look(healthy())["calibration"]
    assert (check.state, check.detail) == ("ok", "2 finished runs on the RTX 4090; predictions are corrected by them")
    with records.file().open("ab") as file:
        file.write(b"{torn\n")
    check = look(healthy())["calibration"]
    assert check.state == "warn" and "1 line of calibration.jsonl can't be read" in check.detail
    assert check.fix.startswith("mv ")


def test_the_demo_model_before_and_after_its_conversion(look: Looker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "source", Path)
    assert "backend.training.demo_model" in look(healthy())["demo model"].fix
    monkeypatch.setattr(demo, "is_ready", lambda: True)
    assert look(healthy())["demo model"].state == "ok"


def test_packages_are_held_against_what_is_asked_for() -> None:
    asked = Requirement("torch>=2.9")
    assert package(asked, "2.13.0+cpu") == Check("torch", "ok", "2.13.0+cpu")
    assert package(asked, "2.8.1").fix == "pip install 'torch>=2.9'"
    assert package(asked, None).state == "missing"


def test_a_library_newer_than_tested_is_a_warning() -> None:
    asked = Requirement("transformers>=5.23")
    assert package(asked, "5.23.4").state == "ok"
    newer = package(asked, "5.24.0")
    assert (newer.state, newer.fix) == ("warn", "pip install 'transformers==5.23.*'")
    assert package(Requirement("numpy>=2.0"), "99.0").state == "ok"


def test_errors_beyond_rounding_are_wrong_results() -> None:
    assert evaluate(GOOD).state == "ok"
    assert evaluate(replace(GOOD, gradient_error=1.0)).state == "missing"
    assert evaluate(replace(GOOD, output_error=float("nan"))).state == "missing"


def test_a_gpu_that_torch_cannot_use_is_no_healthy_cpu() -> None:
    """As in a container that has the driver's NVML library but not its CUDA library."""
    check = evaluate(replace(GOOD, no_cuda="Found no NVIDIA driver on your system. Please check"), expects_cuda=True)
    assert (check.state, check.fix) == ("missing", doctor.NO_CUDA_FIX)
    assert check.detail.endswith("torch can't use it: Found no NVIDIA driver on your system. Please check")
    assert evaluate(GOOD, expects_cuda=True).state == "ok", "a torch without CUDA is another check's"
    asked: list[bool] = []

    def look(expects_cuda: bool) -> doctor.Check:
        asked.append(expects_cuda)
        return evaluate(GOOD)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(doctor, "four_bit", look)
        for torch in (CUDA, TorchBuild("2.13.0+cpu", None, None)):
            checks(replace(healthy(), torch=torch))
    assert asked == [True, False]


def test_a_check_that_dies_is_told_by_its_last_line(monkeypatch: pytest.MonkeyPatch) -> None:
    died = subprocess.CompletedProcess([], 1, "", "Traceback\nImportError: no bitsandbytes\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: died)
    check = doctor.four_bit()
    assert (check.state, check.detail) == ("missing", "ImportError: no bitsandbytes")
    assert check.fix == doctor.REINSTALL


def test_a_check_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(*_: object, **__: object) -> None:
        raise subprocess.TimeoutExpired("python", 1)

    monkeypatch.setattr(subprocess, "run", hang)
    assert "no answer" in doctor.four_bit().detail


@pytest.mark.torch
def test_four_bit_for_real() -> None:
    check = doctor.four_bit()
    assert check.state == "ok", check.detail


def test_looking_loads_no_torch() -> None:
    code = (
        "import sys, backend.doctor, backend.hardware as h, backend.planner.devices as d\n"
        "d.here(h.detect()); h.read_gpus()\n"
        "print(sorted({'torch', 'transformers', 'peft', 'bitsandbytes', 'textual', 'rich'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_several_gpus_need_shared_memory(look: Looker, monkeypatch: pytest.MonkeyPatch) -> None:
    two = replace(healthy(), gpus=(RTX_4090, replace(RTX_4090, index=1, uuid="GPU-2")))
    monkeypatch.setattr(host, "shared_memory_bytes", lambda: 64 * 2**20)  # what a container has
    check = look(two)["shared memory"]
    assert check.state == "warn"
    assert "64 MiB" in check.detail
    assert "--shm-size" in check.fix
    monkeypatch.setattr(host, "shared_memory_bytes", lambda: 8 * GIB)
    assert look(two)["shared memory"].state == "ok"
    monkeypatch.setattr(host, "shared_memory_bytes", lambda: None)
    assert look(two)["shared memory"].state == "warn"
    assert "shared memory" not in look(healthy())


def test_a_gpu_without_its_library_is_missing_something(look: Looker) -> None:
    box_ = replace(healthy(), gpus=(), no_gpu=NotAvailable("no-nvml", "This box has an NVIDIA GPU (/dev/nvidia0)."))
    check = look(box_)["GPU"]
    assert check.state == "missing"
    assert "NVIDIA_DRIVER_CAPABILITIES" in check.fix


def test_whether_segments_grow_is_said(look: Looker) -> None:
    assert "can grow in place (not tried yet)" in look(healthy())["allocator"].detail
    assert "cannot grow in place" in look(replace(healthy(), nvml=False))["allocator"].detail
    assert "allocator" not in look(box(torch=CUDA))
