"""The GPU that was planned for is the one that trains."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
import torch

from backend.errors import UserError
from backend.training import device
from tests.backend.run.test_folder import JOB
from tests.tui import box

GPU = "GPU-00000000-0000-0000-0000-000000000000"


@pytest.mark.parametrize(
    ("kind", "uuid", "seen"),
    [
        ("cuda", GPU, GPU),
        ("cuda", "GPU-of-another-box", None),
        ("cuda", None, None),
        ("cpu", GPU, None),
    ],
)
def test_only_a_gpu_that_is_here_is_chosen(
    kind: str, uuid: str | None, seen: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "detect", box.hardware)
    monkeypatch.setattr(os, "environ", {})
    device.take(replace(JOB, device=kind, device_uuids=(uuid,) if uuid else ()))
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == seen


def test_a_second_gpu_in_one_process_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    here = replace(JOB, device="cuda", device_uuids=(GPU,))
    monkeypatch.setattr(device, "detect", box.hardware)
    monkeypatch.setattr(os, "environ", {})
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    device.take(here)  # it is the only one: whatever CUDA started with was this one
    with pytest.raises(UserError, match="another GPU than GPU-two in this process; leave fttui and start it again"):
        device.take(replace(here, device_uuids=("GPU-two",)))
    assert os.environ == {"CUDA_VISIBLE_DEVICES": GPU}
    device.take(replace(JOB, device="cpu", device_uuids=()))
