"""The random generators that training draws from: seeded once, saved in every checkpoint."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

_APART = 1_000_003
"""Distance between the seeds of two ranks: a prime, so that they don't coincide with those of other runs."""


def seed(value: int) -> None:
    """Seed Python, numpy and torch (all devices)."""
    random.seed(value)
    np.random.seed(value % 2**32)
    torch.manual_seed(value)


def seed_rank(value: int, rank: int) -> None:
    """Give each rank a seed of its own once all have the same weights: dropout differs, as between rows."""
    if rank:
        seed(value + rank * _APART)


@contextmanager
def shared(value: int, step: int) -> Iterator[None]:
    """Within the context, torch draws alike on every rank, by run and step; then each rank's own sequence goes on."""
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices):
        torch.manual_seed((value + 1) * _APART + step)
        yield


def capture() -> dict[str, Any]:
    """The state of every generator, as plain values and tensors."""
    name, keys, *rest = np.random.get_state()
    return {
        "python": random.getstate(),
        "numpy": [name, torch.from_numpy(np.asarray(keys, np.int64)), *rest],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore(state: dict[str, Any]) -> None:
    """Set every generator as it was at `capture`; devices that are gone are left out."""
    random.setstate(state["python"])
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
