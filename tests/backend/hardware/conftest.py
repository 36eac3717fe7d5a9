from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from backend import hardware
from tests.backend.hardware.boxes import Card, Nvml

Box = Callable[..., Nvml]


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> Iterator[Box]:
    """`box(Card(), Card())` puts these GPUs into this machine, with all of them visible."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("CUDA_DEVICE_ORDER", raising=False)
    hardware._opened.cache_clear()
    yield lambda *cards, **options: Nvml(list[Card](cards), **options).install(monkeypatch)
    hardware._opened.cache_clear()
