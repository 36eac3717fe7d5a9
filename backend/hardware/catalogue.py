"""The GPUs of presets/gpus.toml as typed values; that file explains its fields and where each figure comes from."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backend import paths
from backend.hardware.types import Version
from backend.units import GIB, MIB

MEMORY_TOLERANCE = 0.1
"""Cards with the same name but different memory (RTX 3080 10 and 12 GB) differ by more than this share."""


@dataclass(frozen=True)
class Offer:
    """USD for one GPU for an hour."""

    low: float
    typical: float
    high: float
    source: str


@dataclass(frozen=True)
class GpuSpec:
    """One entry of the catalogue, for one GPU."""

    name: str
    aliases: tuple[str, ...]
    preferred: bool
    """Whether to take this one of several candidates with the same memory."""
    nvml: tuple[str, ...]
    """Names by which the driver reports it."""
    architecture: str
    compute_capability: Version | None
    """None on AMD."""
    memory_gb: int
    """As sold."""
    smi_bytes: int | None
    """Total that nvidia-smi shows."""
    torch_bytes: int
    """Memory that torch can use."""
    bf16_flops: float | None
    """Dense bfloat16 rate, FLOP/s; None if the card has none."""
    fp16_flops: float
    bytes_per_second: float
    tdp_watts: float
    nvlink_bytes_per_second: float
    offer: Offer | None
    note: str

    @property
    def flops_per_second(self) -> float:
        """Dense 16-bit rate: bfloat16, or float16 without bfloat16."""
        return self.bf16_flops or self.fp16_flops


@dataclass(frozen=True)
class Oldest:
    """The CUDA and torch versions from which on a build has kernels only from `capability` on."""

    cuda: Version
    torch: Version
    capability: Version


@dataclass(frozen=True)
class CudaRules:
    """What CUDA and torch's builds require of a GPU."""

    bf16_since: Version
    oldest: tuple[Oldest, ...]
    first_toolkit: Mapping[int, Version]
    """Major compute capability -> first CUDA version that knows it."""

    def oldest_capability(self, cuda: Version, torch: Version) -> Version:
        """The oldest compute capability that a build of `torch` for `cuda` has kernels for."""
        return next((x.capability for x in reversed(self.oldest) if x.cuda <= cuda and x.torch <= torch), (0, 0))


@functools.cache
def specs() -> tuple[GpuSpec, ...]:
    """All GPUs, in the file's order."""
    return tuple(_spec(entry) for entry in _document()["gpu"])


@functools.cache
def cuda_rules() -> CudaRules:
    """The `[cuda]` table."""
    table = _document()["cuda"]
    return CudaRules(
        bf16_since=version(table["bf16_since"]),
        oldest=tuple(Oldest(**{key: version(text) for key, text in entry.items()}) for entry in table["oldest"]),
        first_toolkit={int(key): version(text) for key, text in table["first_toolkit"].items()},
    )


def by_driver_name(name: str, memory_bytes: int | None) -> GpuSpec | None:
    """The entry of a GPU that the driver reports with this name and total memory; None if the catalogue has none."""
    for spec in specs():
        if name.casefold() in {known.casefold() for known in spec.nvml} and _same_size(spec, memory_bytes):
            return spec
    return None


def version(text: str) -> Version:
    """`12.8` as (12, 8)."""
    major, _, minor = text.partition(".")
    return int(major), int(minor or 0)


def _same_size(spec: GpuSpec, memory_bytes: int | None) -> bool:
    if memory_bytes is None or spec.smi_bytes is None:
        return True
    return abs(memory_bytes - spec.smi_bytes) <= MEMORY_TOLERANCE * spec.smi_bytes


def _spec(entry: Mapping[str, Any]) -> GpuSpec:
    capability = entry.get("compute_capability")
    return GpuSpec(
        name=entry["name"],
        aliases=tuple(entry.get("aliases", ())),
        preferred=entry.get("preferred", False),
        nvml=tuple(entry["nvml"]),
        architecture=entry["architecture"],
        compute_capability=version(capability) if capability else None,
        memory_gb=entry["memory_gb"],
        smi_bytes=entry["smi_mib"] * MIB if "smi_mib" in entry else None,
        torch_bytes=int(entry["torch_gib"] * GIB),
        bf16_flops=entry["bf16_tflops"] * 1e12 if "bf16_tflops" in entry else None,
        fp16_flops=entry["fp16_tflops"] * 1e12,
        bytes_per_second=entry["bandwidth_gb_s"] * 1e9,
        tdp_watts=float(entry["tdp_watts"]),
        nvlink_bytes_per_second=entry["nvlink_gb_s"] * 1e9,
        offer=Offer(**entry["price"], source=entry["price_source"]) if "price" in entry else None,
        note=entry.get("note", ""),
    )


@functools.cache
def _document() -> dict[str, Any]:
    with (paths.SHIPPED / "gpus.toml").open("rb") as file:
        return tomllib.load(file)
