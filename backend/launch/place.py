"""Where a rank stands among the others."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """One rank of a run."""

    rank: int
    """Among all."""
    count: int
    local_rank: int
    """Among those of its box."""
    local_count: int
    meeting: str
    """The URL by which torch lets the ranks meet."""
    node: int = 0
    """Its box among those of the run."""
    nodes: int = 1


def of_elastic() -> Place:
    """The place that torch elastic gave this process, in its environment."""
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "GROUP_WORLD_SIZE")
    rank, count, local_rank, local_count, node, nodes = (int(os.environ[name]) for name in names)
    return Place(rank, count, local_rank, local_count, "env://", node, nodes)
