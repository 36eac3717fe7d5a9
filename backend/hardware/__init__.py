"""The hardware of this box: `detect()` once, `read_gpus()` repeatedly. Loads no torch; missing parts are no errors."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from pathlib import Path

import psutil

from backend import paths, units
from backend.hardware import driver_files, host, nvml, torch_build
from backend.hardware.types import (
    Cpu,
    Gpu,
    GpuProcess,
    GpuReading,
    Hardware,
    MigSlice,
    NotAvailable,
    Ram,
    TorchBuild,
    Version,
)
from backend.hardware.visible import VARIABLE, Selection, select
from backend.model import hub_cache

__all__ = [
    "Cpu",
    "Gpu",
    "GpuProcess",
    "GpuReading",
    "Hardware",
    "MigSlice",
    "NotAvailable",
    "Ram",
    "TorchBuild",
    "Version",
    "detect",
    "read_gpus",
]


@dataclass(frozen=True)
class _Gpus:
    """What NVML reports, or without it the kernel module's files."""

    visible: tuple[Gpu, ...] = ()
    absence: NotAvailable | None = None
    hidden: int = 0
    driver: str | None = None
    driver_cuda: Version | None = None
    notes: tuple[str, ...] = ()
    nvml: bool = True


def detect() -> Hardware:
    """The box as it is now: GPUs with the processes that use them, driver, torch build, CPU, RAM and disk."""
    gpus, build = _gpus(), torch_build.installed()
    troubles = torch_build.disagreements(build, gpus.driver_cuda, gpus.visible)
    disk_path, disk_notes = _disk()
    downloads = hub_cache.root()
    existing = _existing(downloads)
    return Hardware(
        gpus=gpus.visible,
        no_gpu=gpus.absence,
        hidden_gpus=gpus.hidden,
        driver=gpus.driver,
        driver_cuda=gpus.driver_cuda,
        torch=build,
        cpu=host.cpu(),
        ram=host.ram(),
        disk_path=disk_path,
        disk_free_bytes=psutil.disk_usage(str(disk_path)).free,
        download_path=downloads,
        download_free_bytes=psutil.disk_usage(str(existing)).free,
        one_disk=existing.stat().st_dev == disk_path.stat().st_dev,
        nvml=gpus.nvml,
        notes=(
            *gpus.notes,
            *_shared_memory_notes(len(gpus.visible)),
            *disk_notes,
            *(f"{x.sentence} To fix it: {x.fix}." for x in troubles),
        ),
    )


def read_gpus() -> tuple[GpuReading, ...]:
    """Utilisation, temperature, power and memory of the visible GPUs now; empty if there are none.

    NVML stays open for the process, so that a reading costs a few calls to the driver and no more.
    """
    return tuple(nvml.reading(handle, i, name) for i, (handle, name) in enumerate(_opened(os.getpid())))


@functools.cache
def _opened(process: int) -> tuple[tuple[nvml.Handle, str], ...]:
    """Visible devices with their names, opened once a process (a fork opens its own)."""
    try:
        nvml.start()
    except nvml.NvmlAbsent:
        return ()
    found, _ = nvml.handles()
    return tuple((found[i], nvml.gpu(found[i], i).name) for i in _selection(found).chosen)


def _disk() -> tuple[Path, tuple[str, ...]]:
    """Where runs and models go; the current folder, with a sentence about it, if that place can't be made."""
    home = paths.home()
    if os.path.isdir(home):  # noqa: PTH112 - False also if its folder is closed
        return home, ()
    return Path("/"), (f"The folder for runs, {home}, cannot be made: set FTTUI_HOME to one that can.",)


def _shared_memory_notes(gpus: int) -> tuple[str, ...]:
    """A warning if there is too little shared memory for a run over several GPUs to start."""
    size = host.shared_memory_bytes()
    if gpus < 2 or size is None or size >= host.ENOUGH_SHARED_MEMORY:
        return ()
    return (
        f"/dev/shm holds {units.memory(size)}, which may be too little for GPUs that exchange data through it: start "
        "the container with --shm-size=8g or --ipc=host.",
    )


def _existing(path: Path) -> Path:
    """`path`, or the nearest existing folder above it: both are on the same file system."""
    return next((folder for folder in (path, *path.parents) if os.path.isdir(folder)), Path("/"))  # noqa: PTH112


def _gpus() -> _Gpus:
    try:
        with nvml.session():
            return _look()
    except nvml.NvmlAbsent as absent:
        return _by_files(absent.absence)


def _by_files(absence: NotAvailable) -> _Gpus:
    """The GPUs of a box without NVML, by the kernel module's files: there may be a GPU without NVML's library."""
    if absence.kind != "no-library":
        return _Gpus(absence=absence, nvml=False)
    found = driver_files.look()
    if not found.shows_gpu:
        expected = driver_files.is_expected()
        more = f" {expected} says that there should be a GPU: {driver_files.FIX}." if expected else ""
        return _Gpus(absence=NotAvailable(absence.kind, absence.reason + more), nvml=False)
    says = driver_files.sentence(found)
    selection = select(os.environ.get(VARIABLE), [gpu.uuid for gpu in found.gpus], [gpu.index for gpu in found.gpus])
    visible = tuple(found.gpus[i] for i in selection.chosen)
    return _Gpus(
        visible=visible,
        absence=None if visible else NotAvailable("no-nvml", says),
        hidden=len(found.gpus) - len(visible),
        driver=found.driver,
        notes=(says,) if visible else (),
        nvml=False,
    )


def _look() -> _Gpus:
    driver, cuda = nvml.versions()
    found, troubles = nvml.handles()
    selection = _selection(found)
    visible = tuple(nvml.gpu(found[i], place) for place, i in enumerate(selection.chosen))
    return _Gpus(
        visible=visible,
        absence=None if visible else _absence(found, troubles),
        hidden=len(found) - len(visible),
        driver=driver,
        driver_cuda=cuda,
        notes=(*troubles, *_selection_notes(selection, visible)),
    )


def _selection(found: list[nvml.Handle]) -> Selection:
    return select(os.environ.get(VARIABLE), [x.uuid for x in found], [x.index for x in found])


def _absence(found: list[nvml.Handle], troubles: list[str]) -> NotAvailable:
    if found:
        value = os.environ.get(VARIABLE, "")
        return NotAvailable("hidden", f"{VARIABLE}={value!r} hides every GPU of this box ({len(found)}): unset it.")
    if troubles:
        return NotAvailable("no-permission", troubles[0])
    return NotAvailable("no-gpu", "The NVIDIA driver is loaded, but it finds no GPU.")


def _selection_notes(selection: Selection, visible: tuple[Gpu, ...]) -> tuple[str, ...]:
    notes = []
    if selection.ended_by:
        notes.append(
            f"{VARIABLE} names {selection.ended_by!r}, which is no GPU of this box or is named twice: "
            f"CUDA stops there, and {len(visible)} remain visible."
        )
    mixed = len({gpu.name for gpu in visible}) > 1
    if selection.by_index and mixed and os.environ.get("CUDA_DEVICE_ORDER") != "PCI_BUS_ID":
        notes.append(
            f"{VARIABLE} counts in CUDA's order, the fastest GPU first, and not as nvidia-smi does: "
            "set CUDA_DEVICE_ORDER=PCI_BUS_ID, or name GPUs by UUID."
        )
    return tuple(notes)
