"""The processes of one run, one for each device: what they exchange besides gradients.

Every rank runs the same trainer over the same steps, so that each call here is made by all of them in the same order.
A rank that fails just ends: the parent then ends the others (backend/launch/several.py).
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
"""Timeout of an exchange: one rank may download or save while the others wait. The parent sees a rank that dies."""

MEETING = timedelta(minutes=5)
"""Timeout for the ranks to find each other: they start at about the same time."""


@dataclass(frozen=True)
class Ranks:
    """This process among `count`."""

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """It writes what only one may write: events, checkpoints, the result."""
        return self.rank == 0

    def of_first(self, value: Value) -> Value:
        """The first rank's `value`, which is small and picklable. The host waits, no device does."""
        if self.count == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values, src=0, device=torch.device("cpu"))
        return values[0]

    def all_of(self, value: Value) -> list[Value]:
        """The `value` of every rank, in order."""
        if self.count == 1:
            return [value]
        values: list[Any] = [None] * self.count
        dist.all_gather_object(values, value)
        return values

    def wait(self) -> None:
        """Wait until all ranks have called this."""
        self.all_of(None)

    @contextmanager
    def first_before_others(self) -> Iterator[None]:
        """The first rank runs the body first, the others when it is done."""
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
    """Connect to the other ranks: gloo for the CPU, NCCL for GPUs.

    `meeting` is a URL of torch's: `file://` of a new file, or `env://` if torch elastic has started the ranks.
    """
    if os.environ.get("GROUP_WORLD_SIZE", "1") == "1":  # all are on this box; a container's own name may not resolve
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    backend = "cpu:gloo,cuda:nccl" if device == "cuda" else "gloo"
    options: dict[str, Any] = {"store": store()} if _agent_has_store(meeting) else {"init_method": meeting}
    dist.init_process_group(backend, **options, rank=rank, world_size=count, timeout=PATIENCE)
    return Ranks(rank, count)


def _agent_has_store(meeting: str) -> bool:
    return meeting == "env://" and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"


def store() -> Any:
    """The key-value store (a `TCPStore`) of the ranks that torch elastic has started: it is there before they join.

    Each attempt has keys of its own. torch's `env://` keeps those of the last attempt (torch 2.13, on one box): a rank
    that reads the address of one that has been killed waits for it forever.
    """
    host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    of_all = getattr(dist, "TCPStore")(host, port, is_master=False, timeout=MEETING)  # noqa: B009 - unknown to mypy
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    return getattr(dist, "PrefixStore")(f"fttui-attempt-{attempt}", of_all)  # noqa: B009


def leave() -> None:
    """Close the connections, once all ranks are done."""
    dist.destroy_process_group()
