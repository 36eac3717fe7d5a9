from __future__ import annotations

import pytest

from backend.hardware import Gpu, GpuReading, TorchBuild, torch_build
from backend.hardware.torch_build import disagreements, parse

cpu_build = parse("__version__ = '2.13.0+cpu'\ncuda: Optional[str] = None\nhip: Optional[str] = None\n", "?")
cuda_build = parse("__version__ = '2.13.0+cu130'\ncuda: Optional[str] = '13.0'\nhip: Optional[str] = None\n", "?")
rocm_build = parse("__version__ = '2.13.0+rocm7'\ncuda: Optional[str] = None\nhip: Optional[str] = '7.0'\n", "?")


def gpu(name: str = "NVIDIA GeForce RTX 4090", capability: tuple[int, int] | None = (8, 9)) -> Gpu:
    reading = GpuReading(0, name, None, None, None, None, None, None)
    return Gpu(0, "GPU-1", name, None, None, None, capability, (), reading)


def test_builds_are_read_from_the_version_file() -> None:
    assert cpu_build == TorchBuild("2.13.0+cpu", None, None)
    assert cuda_build == TorchBuild("2.13.0+cu130", (13, 0), None)
    assert rocm_build == TorchBuild("2.13.0+rocm7", None, "7.0")
    assert parse("", "2.13.0") == TorchBuild("2.13.0", None, None)


def test_the_installed_torch_is_found_without_importing_it() -> None:
    found = torch_build.installed()
    assert found is not None
    assert found.version.startswith("2.")


def test_a_cpu_build_beside_a_gpu_is_said_with_the_command() -> None:
    (found,) = disagreements(cpu_build, (13, 0), [gpu()])
    assert "without CUDA" in found.sentence
    assert "RTX 4090" in found.sentence
    assert found.fix == "pip install --force-reinstall torch==2.13.0"


@pytest.mark.parametrize(
    ("driver", "name", "capability", "fix"),
    [
        ((12, 4), "NVIDIA A100-SXM4-80GB", (8, 0), "install a torch built for CUDA 12, see https://pytorch.org/"),
        ((13, 0), "Tesla V100-SXM2-32GB", (7, 0), "install a torch built for CUDA 12.6, see https://pytorch.org/"),
        (None, "Tesla T4", (7, 5), "pip install --force-reinstall torch==2.13.0"),
    ],
)
def test_the_default_build_is_not_proposed_where_it_does_not_run(
    driver: tuple[int, int] | None, name: str, capability: tuple[int, int], fix: str
) -> None:
    (found,) = disagreements(cpu_build, driver, [gpu(name, capability)])
    assert found.fix.startswith(fix)


@pytest.mark.parametrize(("driver", "count"), [((12, 4), 1), ((13, 0), 0), ((13, 2), 0), ((14, 0), 0), (None, 0)])
def test_a_driver_of_an_older_major_version_is_too_old(driver: tuple[int, int] | None, count: int) -> None:
    assert len(disagreements(cuda_build, driver, [gpu()])) == count


def test_a_newer_minor_version_runs_on_an_older_driver() -> None:
    assert disagreements(TorchBuild("2.13.0+cu129", (12, 9), None), (12, 2), [gpu()]) == ()


def test_a_gpu_that_the_build_dropped_or_does_not_know() -> None:
    (old,) = disagreements(cuda_build, (13, 0), [gpu("Tesla V100-SXM2-32GB", (7, 0))])
    assert "has no kernels for the Tesla V100" in old.sentence
    assert "CUDA 12.6" in old.sentence
    (new,) = disagreements(TorchBuild("2.9.0+cu126", (12, 6), None), (13, 0), [gpu("NVIDIA B200", (10, 0))])
    assert "CUDA 12.8 or later" in new.sentence


@pytest.mark.parametrize(
    ("torch", "cuda", "capability", "runs"),
    [
        ("2.9.0", (12, 6), (6, 1), True),  # Pascal
        ("2.13.0", (12, 6), (7, 0), True),
        ("2.10.0", (12, 8), (6, 1), False),
        ("2.10.0", (12, 8), (7, 0), True),  # Volta
        ("2.11.0", (12, 8), (7, 0), False),
        ("2.11.0", (12, 9), (7, 0), False),
        ("2.9.1", (13, 0), (7, 0), False),
        ("2.13.0", (13, 2), (7, 5), True),
        ("2.14.0", (14, 0), (9, 0), True),
    ],
)
def test_each_build_has_kernels_since_some_generation(
    torch: str, cuda: tuple[int, int], capability: tuple[int, int], runs: bool
) -> None:
    found = disagreements(TorchBuild(f"{torch}+cu{cuda[0]}{cuda[1]}", cuda, None), (14, 0), [gpu("A GPU", capability)])
    assert (found == ()) is runs


def test_a_gpu_that_no_torch_of_today_knows_is_not_sent_to_another_build() -> None:
    (found,) = disagreements(cuda_build, (13, 0), [gpu("Tesla K80", (3, 7))])
    assert "no torch of today supports it" in found.sentence


def test_no_gpu_is_no_disagreement_and_no_torch_is_one() -> None:
    assert disagreements(cpu_build, None, []) == ()
    assert "not installed" in disagreements(None, None, [])[0].sentence
    assert "ROCm" in disagreements(rocm_build, None, [])[0].sentence
    assert "ROCm 7.0" in disagreements(rocm_build, (13, 0), [gpu()])[0].sentence
