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
    device.take(here)  # the only GPU, so CUDA must have started with it
    with pytest.raises(UserError, match="another GPU than GPU-two in this process; leave fttui and start it again"):
        device.take(replace(here, device_uuids=("GPU-two",)))
    assert os.environ == {"CUDA_VISIBLE_DEVICES": GPU}
    device.take(replace(JOB, device="cpu", device_uuids=()))


def test_each_rank_takes_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planned GPUs; on another box, those that it has; and never one GPU for two ranks."""
    gpus = tuple(replace(box.gpu(), uuid=f"GPU-{name}") for name in "abc")
    monkeypatch.setattr(device, "detect", lambda: replace(box.hardware(), gpus=gpus))
    two = replace(JOB, device="cuda", plan=replace(JOB.plan, processes=2))
    for uuids, expected in (
        (("GPU-c", "GPU-a"), ["GPU-c", "GPU-a"]),
        (("GPU-x", "GPU-y"), ["GPU-a", "GPU-b"]),
        ((), ["GPU-a", "GPU-b"]),
    ):
        taken = []
        for rank in range(2):
            monkeypatch.setattr(os, "environ", {})
            device.take(replace(two, device_uuids=uuids), rank)
            taken.append(os.environ["CUDA_VISIBLE_DEVICES"])
        assert taken == expected
    with pytest.raises(
        UserError, match="planned for 4 GPUs and there are 3 here; `fttui resume --processes 3` goes on with fewer"
    ):
        device.take(replace(two, plan=replace(JOB.plan, processes=4)), 0)


def test_a_gpu_that_torch_cannot_use_is_refused_by_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver may show a GPU that this torch can't use."""

    def fails(words: str) -> None:
        raise RuntimeError(words)

    device.start(replace(JOB, device="cpu"))
    for said, expected in (
        ("Found no NVIDIA driver on your system.", "torch finds no GPU here, or none any more; `fttui doctor`"),
        ("CUDA unknown error - this may be\nset", "torch can't use the GPU: CUDA unknown error - this may be; `fttui"),
    ):
        monkeypatch.setattr(torch.cuda, "init", lambda words=said: fails(words))
        with pytest.raises(UserError, match=expected):
            device.start(replace(JOB, device="cuda"))
