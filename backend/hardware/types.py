"""The hardware of a box, as typed values. A reading that is refused is None, and `refused` says why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Version = tuple[int, int]
AbsenceKind = Literal[
    "no-library", "no-nvml", "no-driver", "no-permission", "version-mismatch", "no-gpu", "hidden", "failed"
]


@dataclass(frozen=True)
class NotAvailable:
    """Why no GPU was found."""

    kind: AbsenceKind
    reason: str
    """One sentence for the user."""


@dataclass(frozen=True)
class GpuProcess:
    """A program that uses a GPU."""

    pid: int
    name: str | None
    """None if the process is not visible to this one, as in a container."""
    memory_bytes: int | None
    computes: bool = True
    """False for one that only draws, as a desktop does."""
    server: str | None = None
    """The model server that it is part of, such as Ollama or vLLM; None for any other program."""


@dataclass(frozen=True)
class GpuReading:
    """One reading of a GPU; None for what the driver or a container does not let us read."""

    index: int
    """The device's place in the visible list, which is torch's numbering if all GPUs are of one kind."""
    name: str
    utilisation_percent: int | None
    temperature_c: int | None
    power_watts: float | None
    power_limit_watts: float | None
    memory_used_bytes: int | None
    memory_total_bytes: int | None


@dataclass(frozen=True)
class MigSlice:
    """What part of a GPU a MIG device is."""

    parent_index: int
    """NVML index of the whole GPU."""
    compute_share: float | None
    """Share of the GPU's compute slices, 0 to 1."""
    memory_share: float | None
    """Share of the GPU's memory, 0 to 1."""


@dataclass(frozen=True)
class Gpu:
    """One device that a program can train on: a GPU, or a MIG slice of one."""

    index: int
    """NVML index (of the GPU that a MIG slice belongs to): nvidia-smi's number."""
    uuid: str
    """`GPU-...` or `MIG-...`: what CUDA_VISIBLE_DEVICES takes."""
    name: str
    """As the driver reports it; a MIG slice has the name of its GPU, and its profile in `profile`."""
    memory_bytes: int | None
    """Total, as nvidia-smi shows it."""
    reserved_bytes: int | None
    """Part of the total that the driver keeps for itself."""
    free_bytes: int | None
    compute_capability: Version | None
    processes: tuple[GpuProcess, ...]
    reading: GpuReading
    mig: MigSlice | None = None
    profile: str = ""
    """MIG profile such as `1g.5gb`."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """What could not be read -> the driver's answer."""


@dataclass(frozen=True)
class TorchBuild:
    """The installed torch, read from its files without importing it."""

    version: str
    cuda: Version | None
    """CUDA version that it was built with; None for a CPU build."""
    hip: str | None
    """ROCm version of an AMD build."""


@dataclass(frozen=True)
class Cpu:
    """The processor, and how much of it this process may use."""

    name: str
    physical_cores: int
    logical_cores: int
    usable_cores: float
    """Logical cores by affinity and cgroup quota; a quota may be a fraction."""
    avx512_bf16: bool
    amx_bf16: bool

    @property
    def bf16(self) -> bool:
        """Whether it multiplies bfloat16 in hardware."""
        return self.avx512_bf16 or self.amx_bf16


@dataclass(frozen=True)
class Ram:
    """Host memory under the limits of the cgroup."""

    total_bytes: int
    available_bytes: int
    limited: bool
    """Whether a cgroup allows less than the machine has."""


@dataclass(frozen=True)
class Hardware:
    """The box that fttui runs on."""

    gpus: tuple[Gpu, ...]
    """Devices that CUDA_VISIBLE_DEVICES lets a program see, in its order."""
    no_gpu: NotAvailable | None
    """Why `gpus` is empty; None if it is not."""
    hidden_gpus: int
    """Devices that are there but not visible."""
    driver: str | None
    """NVIDIA driver version."""
    driver_cuda: Version | None
    """Newest CUDA version that the driver supports."""
    torch: TorchBuild | None
    """None if torch is not installed."""
    cpu: Cpu
    ram: Ram
    disk_path: Path
    disk_free_bytes: int
    """Bytes free for this user at `disk_path`, where runs and models go."""
    download_path: Path | None = None
    """Where the hub's models go; None for the same place."""
    download_free_bytes: int = 0
    """Bytes free for this user at `download_path`."""
    one_disk: bool = True
    """Whether `disk_path` and `download_path` are on one file system."""
    nvml: bool = True
    """Whether NVML answers; if it does not, GPUs are known by the kernel module's files only."""
    notes: tuple[str, ...] = ()
    """Sentences for the user: disagreement between driver, GPU and torch; devices that could not be read."""
