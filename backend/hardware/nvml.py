"""NVIDIA GPUs through NVML. What a driver or a container refuses to report is noted, and never an exception."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psutil
import pynvml

from backend.hardware import servers
from backend.hardware.types import AbsenceKind, Gpu, GpuProcess, GpuReading, MigSlice, NotAvailable, Version

ABSENCES: dict[int, tuple[AbsenceKind, str]] = {
    pynvml.NVML_ERROR_LIBRARY_NOT_FOUND: ("no-library", "There is no NVIDIA driver library on this box."),
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED: ("no-driver", "The NVIDIA driver is installed, but not loaded."),
    pynvml.NVML_ERROR_NO_PERMISSION: ("no-permission", "This user or container may not talk to the NVIDIA driver."),
    pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: (
        "version-mismatch",
        "The NVIDIA driver was updated under the running kernel module: restart the box, or reload the module.",
    ),
}


class NvmlAbsent(Exception):
    """NVML cannot be used; `absence` says why."""

    def __init__(self, absence: NotAvailable) -> None:
        super().__init__(absence.reason)
        self.absence = absence


@dataclass
class Asked:
    """Makes NVML calls and keeps what was refused."""

    refused: dict[str, str] = field(default_factory=dict)

    def __call__(self, what: str, call: Callable[..., Any], *arguments: object) -> Any:
        """The call's value, or None if the driver refuses it."""
        try:
            return call(*arguments)
        except pynvml.NVMLError as error:
            self.refused[what] = str(error)
            return None


@dataclass(frozen=True)
class Handle:
    """An opened device: a GPU, or one MIG slice of `parent`."""

    index: int
    uuid: str
    device: Any
    parent: Any = None
    slices: int = 0
    """MIG slices that the parent can have at the most."""


@contextmanager
def session() -> Iterator[None]:
    """NVML while the block runs. Raises NvmlAbsent if there is none."""
    start()
    try:
        yield
    finally:
        pynvml.nvmlShutdown()


def start() -> None:
    """Start NVML for the rest of the process. Raises NvmlAbsent if there is none."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        kind, reason = ABSENCES.get(error.value, ("failed", f"The NVIDIA driver does not answer: {error}."))
        raise NvmlAbsent(NotAvailable(kind, reason)) from error


def versions() -> tuple[str | None, Version | None]:
    """Driver version, and the newest CUDA version that it supports."""
    ask = Asked()
    driver = ask("driver", pynvml.nvmlSystemGetDriverVersion)
    cuda = ask("cuda", pynvml.nvmlSystemGetCudaDriverVersion_v2)
    return driver, (cuda // 1000, cuda % 1000 // 10) if cuda else None


def handles() -> tuple[list[Handle], list[str]]:
    """All devices, a GPU in MIG mode as its slices; and sentences about those that could not be opened."""
    ask, found, troubles = Asked(), list[Handle](), list[str]()
    for index in range(ask("count", pynvml.nvmlDeviceGetCount) or 0):
        device = ask(f"GPU {index}", pynvml.nvmlDeviceGetHandleByIndex, index)
        if device is not None:
            slices = _mig_handles(index, device)
            found += [_whole(index, device)] if slices is None else slices
            if slices == []:
                troubles.append(f"GPU {index} is in MIG mode and has no slices: create some, or switch MIG off.")
    troubles += [f"{what} could not be opened: {answer}." for what, answer in ask.refused.items() if what != "count"]
    return found, troubles


def gpu(handle: Handle, position: int) -> Gpu:
    """Everything that can be read of a device. `position` is its place in the visible list."""
    ask, device = Asked(), handle.device
    memory = _memory(ask, device)
    whole = handle.parent or device
    name = str(ask("name", pynvml.nvmlDeviceGetName, whole) or "NVIDIA GPU")
    capability = ask("compute capability", pynvml.nvmlDeviceGetCudaComputeCapability, whole)
    return Gpu(
        index=handle.index,
        uuid=handle.uuid,
        name=name,
        memory_bytes=memory and int(memory.total),
        reserved_bytes=getattr(memory, "reserved", None),
        free_bytes=memory and int(memory.free),
        compute_capability=capability and (int(capability[0]), int(capability[1])),
        processes=_processes(ask, device),
        reading=reading(handle, position, name, ask),
        mig=_mig_slice(handle, memory) if handle.parent else None,
        profile=_profile(ask("profile", pynvml.nvmlDeviceGetName, device)) if handle.parent else "",
        refused=ask.refused,
    )


def reading(handle: Handle, position: int, name: str, ask: Asked | None = None) -> GpuReading:
    """Readings that change all the time: five calls, well under a millisecond each."""
    ask, device = ask or Asked(), handle.device
    memory = _memory(ask, device)
    rates = ask("utilisation", pynvml.nvmlDeviceGetUtilizationRates, device)
    power = ask("power", pynvml.nvmlDeviceGetPowerUsage, device)
    limit = ask("power limit", pynvml.nvmlDeviceGetEnforcedPowerLimit, device)
    return GpuReading(
        index=position,
        name=name,
        utilisation_percent=rates and int(rates.gpu),
        temperature_c=ask("temperature", pynvml.nvmlDeviceGetTemperature, device, pynvml.NVML_TEMPERATURE_GPU),
        power_watts=None if power is None else power / 1000,
        power_limit_watts=None if limit is None else limit / 1000,
        memory_used_bytes=memory and int(memory.used),
        memory_total_bytes=memory and int(memory.total),
    )


def _whole(index: int, device: Any) -> Handle:
    return Handle(index, str(Asked()("uuid", pynvml.nvmlDeviceGetUUID, device) or f"GPU-{index}"), device)


def _mig_handles(index: int, device: Any) -> list[Handle] | None:
    """The slices of a GPU in MIG mode; None if it is not in MIG mode."""
    ask = Asked()
    mode = ask("mode", pynvml.nvmlDeviceGetMigMode, device)
    if not mode or mode[0] != pynvml.NVML_DEVICE_MIG_ENABLE:
        return None
    slices = ask("slices", pynvml.nvmlDeviceGetMaxMigDeviceCount, device) or 0
    opened = [ask(str(i), pynvml.nvmlDeviceGetMigDeviceHandleByIndex, device, i) for i in range(slices)]
    return [
        Handle(index, str(ask("uuid", pynvml.nvmlDeviceGetUUID, child)), child, parent=device, slices=slices)
        for child in opened
        if child is not None
    ]


def _mig_slice(handle: Handle, memory: Any) -> MigSlice:
    ask = Asked()
    attributes = ask("attributes", pynvml.nvmlDeviceGetAttributes_v2, handle.device)
    whole = _memory(ask, handle.parent)
    return MigSlice(
        parent_index=handle.index,
        compute_share=attributes.gpuInstanceSliceCount / handle.slices if attributes and handle.slices else None,
        memory_share=memory.total / whole.total if memory and whole and whole.total else None,
    )


def _profile(name: Any) -> str:
    """`1g.5gb` of `NVIDIA A100-SXM4-40GB MIG 1g.5gb`."""
    return str(name or "").rpartition(" MIG ")[2]


def _memory(ask: Asked, device: Any) -> Any:
    """Total, reserved, used and free bytes; without `reserved` if the driver is older than that call."""
    newer = Asked()("memory", pynvml.nvmlDeviceGetMemoryInfo, device, pynvml.nvmlMemory_v2)
    return newer or ask("memory", pynvml.nvmlDeviceGetMemoryInfo, device)


def _processes(ask: Asked, device: Any) -> tuple[GpuProcess, ...]:
    """Programs on the device, each once; a program that computes and draws is in both of NVML's lists."""
    computing = ask("processes", pynvml.nvmlDeviceGetComputeRunningProcesses, device) or []
    drawing = Asked()("processes", pynvml.nvmlDeviceGetGraphicsRunningProcesses, device) or []
    used: dict[int, int | None] = {}
    for process in (*computing, *drawing):
        used[process.pid] = max(used.get(process.pid) or 0, process.usedGpuMemory or 0) or None
    computes = {process.pid for process in computing}
    return tuple(_process(pid, memory, pid in computes) for pid, memory in sorted(used.items()))


def _process(pid: int, memory_bytes: int | None, computes: bool) -> GpuProcess:
    try:
        process = psutil.Process(pid)
        name = process.name()
    except psutil.Error:
        return GpuProcess(pid, None, memory_bytes, computes)
    try:
        command = process.cmdline()
    except psutil.Error:  # another user's
        command = []
    return GpuProcess(pid, name, memory_bytes, computes, servers.server_of(name, command))
