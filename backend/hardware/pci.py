"""Whether the PCI bus shows an NVIDIA GPU, which needs neither driver nor library."""

from __future__ import annotations

from pathlib import Path

BUS = Path("/sys/bus/pci/devices")
_NVIDIA = "0x10de"
_DISPLAY = "0x03"
"""PCI base class of display and 3D controllers."""


def has_nvidia_gpu(bus: Path = BUS) -> bool:
    """True if a display or 3D controller of NVIDIA is on the bus; False also if the bus can't be read."""
    return any(
        _read(device / "vendor") == _NVIDIA and _read(device / "class").startswith(_DISPLAY)
        for device in (bus.iterdir() if bus.is_dir() else ())
    )


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
