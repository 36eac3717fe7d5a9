"""The GPU that was planned for is the one that trains."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from backend.training import device
from tests.backend.run.test_folder import JOB
from tests.tui import box


@pytest.mark.parametrize(
    ("kind", "uuid", "seen"),
    [
        ("cuda", "GPU-00000000-0000-0000-0000-000000000000", "GPU-00000000-0000-0000-0000-000000000000"),
        ("cuda", "GPU-of-another-box", None),
        ("cuda", None, None),
        ("cpu", "GPU-00000000-0000-0000-0000-000000000000", None),
    ],
)
def test_only_a_gpu_that_is_here_is_chosen(
    kind: str, uuid: str | None, seen: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "detect", box.hardware)
    monkeypatch.setattr(os, "environ", {})
    device.take(replace(JOB, device=kind, device_uuid=uuid))
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == seen
