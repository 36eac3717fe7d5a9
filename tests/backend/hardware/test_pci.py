"""What the PCI bus shows, from files as Linux has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.hardware.pci import has_nvidia_gpu


@pytest.mark.parametrize(
    ("vendor", "kind", "there"),
    [("0x10de", "0x030200", True), ("0x10de", "0x040300", False), ("0x8086", "0x030000", False), ("", "", False)],
    ids=["GPU", "its sound", "another's GPU", "nothing to read"],
)
def test_only_a_gpu_of_nvidias_counts(vendor: str, kind: str, there: bool, tmp_path: Path) -> None:
    device = tmp_path / "0000:01:00.0"
    device.mkdir()
    if vendor:
        (device / "vendor").write_text(f"{vendor}\n")
        (device / "class").write_text(f"{kind}\n")
    assert has_nvidia_gpu(tmp_path) == there
    assert not has_nvidia_gpu(tmp_path / "no bus")
