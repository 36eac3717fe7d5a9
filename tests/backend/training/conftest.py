"""Short answers and one thread: tiny models gain nothing from more."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from backend.training import cpu_formats, sample


@pytest.fixture(autouse=True)
def small_work(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Samples of four tokens, a single timing of the number formats, one thread."""
    monkeypatch.setattr(sample, "NEW_TOKENS", 4)
    monkeypatch.setattr(cpu_formats, "TURNS", 1)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
