"""Host memory and free disk of this box, read once when its hardware is detected."""

from __future__ import annotations

from dataclasses import dataclass

from backend.hardware import Hardware


@dataclass(frozen=True)
class Box:
    """Bytes that this user may have, within the limits of the cgroup."""

    ram_bytes: int
    run_folder: str
    run_free_bytes: int
    download_folder: str
    """The folder that models from the hub are downloaded to."""
    download_free_bytes: int
    one_disk: bool
    """Whether runs and downloads share one file system."""


def box(hardware: Hardware) -> Box:
    """The host memory and disk of detected hardware."""
    return Box(
        ram_bytes=hardware.ram.available_bytes,
        run_folder=str(hardware.disk_path),
        run_free_bytes=hardware.disk_free_bytes,
        download_folder=str(hardware.download_path or hardware.disk_path),
        download_free_bytes=hardware.disk_free_bytes if hardware.one_disk else hardware.download_free_bytes,
        one_disk=hardware.one_disk,
    )
