"""GPUs by the files of NVIDIA's kernel module, for a box whose NVML can't be asked.

A container may be given the GPU (`/dev/nvidia0`, `/proc/driver/nvidia`) without the library that describes it: its
image or `NVIDIA_DRIVER_CAPABILITIES` leaves `utility` out. CUDA works there all the same.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from backend.hardware import catalogue
from backend.hardware.types import Gpu, GpuReading

DEVICES = Path("/dev")
PROC = Path("/proc/driver/nvidia")
NEEDED = "libnvidia-ml.so.1"
FIX = "start the container with --gpus all and NVIDIA_DRIVER_CAPABILITIES=compute,utility"
_DEVICE = re.compile(r"nvidia(\d+)")
_VERSION = re.compile(r"Kernel Module\s+(?:for \S+\s+)?(\d+\.\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class Found:
    """What the files show."""

    minors: tuple[int, ...] = ()
    """Numbers of the device files."""
    gpus: tuple[Gpu, ...] = ()
    """The GPUs that the files describe, by number."""
    driver: str | None = None

    @property
    def shows_gpu(self) -> bool:
        """Whether there is a GPU at all."""
        return bool(self.minors)


def look(devices: Path = DEVICES, proc: Path = PROC) -> Found:
    """The GPUs whose device files are here."""
    minors = tuple(_minors(devices))
    version = _VERSION.search(_text(proc / "version"))
    return Found(minors, tuple(_gpus(minors, proc)), version[1] if version else None)


def sentence(found: Found) -> str:
    """Why the GPU is known by its files only, as a sentence with its fix."""
    where = ", ".join(f"/dev/nvidia{number}" for number in found.minors)
    return f"This box has an NVIDIA GPU ({where}), but {NEEDED}, which describes it, is missing: {FIX}."


def is_expected() -> str | None:
    """The variable that says that this container should have a GPU, with its value; None if none does."""
    for name in ("NVIDIA_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES"):
        value = os.environ.get(name, "")
        if value and value.casefold() not in ("void", "none", "-1", "nodevfiles"):
            return f"{name}={value}"
    return None


def _minors(devices: Path) -> Iterator[int]:
    names = os.listdir(devices) if devices.is_dir() else []  # noqa: PTH208 - names only, of thousands of devices
    yield from sorted(int(found[1]) for name in names if (found := _DEVICE.fullmatch(name)))


def _gpus(minors: Sequence[int], proc: Path) -> Iterator[Gpu]:
    known = {}
    for file in sorted((proc / "gpus").glob("*/information")):
        fields = dict(_fields(_text(file)))
        if fields.get("Device Minor", "").isdecimal():
            known[int(fields["Device Minor"])] = fields
    for place, minor in enumerate(sorted(set(known) & set(minors))):
        yield _gpu(place, minor, known[minor])


def _gpu(place: int, minor: int, fields: dict[str, str]) -> Gpu:
    """Its compute capability is the catalogue's; its memory is not known here."""
    name = fields.get("Model") or "NVIDIA GPU"
    spec = catalogue.by_driver_name(name, None)
    return Gpu(
        index=minor,
        uuid=fields.get("GPU UUID") or f"GPU-{minor}",
        name=name,
        memory_bytes=None,
        reserved_bytes=None,
        free_bytes=None,
        compute_capability=spec.compute_capability if spec else None,
        processes=(),
        reading=GpuReading(place, name, None, None, None, None, None, None),
        refused={"memory": f"{NEEDED} is missing"},
    )


def _fields(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        key, _, value = line.partition(":")
        yield key.strip(), value.strip()


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
