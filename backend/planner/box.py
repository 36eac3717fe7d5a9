"""What this box has around its device: memory of the host and free disk, read once when the box is looked at."""

from __future__ import annotations

from dataclasses import dataclass

from backend.hardware import Hardware


@dataclass(frozen=True)
class Box:
    """Free bytes for this user, under the limits of the cgroup."""

    ram_bytes: int
    run_folder: str
    run_free_bytes: int
    download_folder: str
    """Where models from the hub go."""
    download_free_bytes: int
    one_disk: bool
    """Runs and downloads share one file system."""


def box(hardware: Hardware) -> Box:
    """Of a box that was detected."""
    return Box(
        ram_bytes=hardware.ram.available_bytes,
        run_folder=str(hardware.disk_path),
        run_free_bytes=hardware.disk_free_bytes,
        download_folder=str(hardware.download_path or hardware.disk_path),
        download_free_bytes=hardware.disk_free_bytes if hardware.one_disk else hardware.download_free_bytes,
        one_disk=hardware.one_disk,
    )
