"""Keys are repeated for attention kernels that don't support grouped keys."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from backend.training import grouped_keys

HALF, SINGLE = torch.float16, torch.float32


class Key:
    """What the code reads of a tensor on a GPU."""

    is_cuda = True
    device = "cuda:0"
    shape = (1, 2, 64, 128)

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype


@pytest.mark.parametrize(
    ("capability", "dtype", "grouped"),
    [
        ((7, 5), HALF, False),  # T4, RTX 20xx
        ((7, 0), HALF, False),
        ((8, 0), torch.bfloat16, True),
        ((8, 9), HALF, True),
        ((9, 0), torch.bfloat16, True),
        ((9, 0), SINGLE, False),
        ((12, 0), torch.bfloat16, True),
    ],
)
def test_grouped_keys_only_where_torch_has_a_kernel(
    capability: tuple[int, int], dtype: torch.dtype, grouped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    transformers = SimpleNamespace(use_gqa_in_sdpa=lambda mask, key, value: mask is None)
    monkeypatch.setattr(grouped_keys, "sdpa_attention", transformers)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    grouped_keys.install()
    grouped_keys.install()
    key: Any = Key(dtype)
    assert transformers.use_gqa_in_sdpa(None, key, key) is grouped
    assert transformers.use_gqa_in_sdpa("a mask", key, key) is False


def test_on_a_cpu_transformers_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers.integrations import sdpa_attention

    before = sdpa_attention.use_gqa_in_sdpa
    monkeypatch.setattr(sdpa_attention, "use_gqa_in_sdpa", before)  # restored afterwards
    key = torch.zeros(1, 2, 8, 16)
    expected = before(None, key, key)
    grouped_keys.install()
    assert sdpa_attention.use_gqa_in_sdpa(None, key, key) is expected


def test_another_transformers_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grouped_keys, "sdpa_attention", SimpleNamespace())
    grouped_keys.install()
    monkeypatch.setattr(grouped_keys, "sdpa_attention", None)
    grouped_keys.install()
