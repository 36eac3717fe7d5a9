"""The processes of one run, one a device: what they tell each other beside gradients.

Every rank runs the same trainer over the same steps, so that each call here is made by all of them in the same order.
A rank that fails just dies: whoever started them ends the others (backend/launch/several.py).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch import distributed as dist

Value = TypeVar("Value")
PATIENCE = timedelta(days=1)
"""One rank may download or save while the others wait; who died is seen by their parent, not by a timeout."""


@dataclass(frozen=True)
class Ranks:
    """This process among `count`."""

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """It tells, and writes what only one may write."""
        return self.rank == 0

    def of_first(self, value: Value) -> Value:
        """What the first rank has as `value`: small, and picklable. The host waits, no device does."""
        if self.count == 1:
            return value
        told = [value]
        dist.broadcast_object_list(told, src=0, device=torch.device("cpu"))
        return told[0]

    def all_of(self, value: Value) -> list[Value]:
        """Everybody's `value`, by rank."""
        if self.count == 1:
            return [value]
        told: list[Any] = [None] * self.count
        dist.all_gather_object(told, value)
        return told

    def wait(self) -> None:
        """Until all are here."""
        self.all_of(None)

    @contextmanager
    def first_before_others(self) -> Iterator[None]:
        """Within, the first rank comes first, and the others when it is done."""
        if not self.is_first:
            self.wait()
        yield
        if self.is_first:
            self.wait()

    def sum(self, value: Tensor) -> Tensor:
        """The sum over the ranks, on the device, in place."""
        if self.count > 1:
            dist.all_reduce(value)
        return value


ALONE = Ranks()


def join(rank: int, count: int, meeting: str, device: str) -> Ranks:
    """Meet the other ranks by the file `meeting`, which nobody has used before; gloo for the CPU, NCCL for GPUs."""
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # all are on this box; a container's own name may not resolve
    backend = "cpu:gloo,cuda:nccl" if device == "cuda" else "gloo"
    dist.init_process_group(backend, init_method=f"file://{meeting}", rank=rank, world_size=count, timeout=PATIENCE)
    return Ranks(rank, count)


def leave() -> None:
    """Close the connections; all ranks have come to their end."""
    dist.destroy_process_group()
