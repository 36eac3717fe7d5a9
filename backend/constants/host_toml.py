"""presets/host.toml: host memory and disk of a run."""

from __future__ import annotations

from backend.constants.table import Table


class HostRam(Table, frozen=True):
    """Host memory."""

    cuda_libraries: int
    """Bytes that CUDA's libraries take on the host, in each process."""
    shard_bytes: int
    """Bytes of the largest file of weights."""
    merge_factor: float
    """Peak of merging an adapter, over the size of the merged model."""


class HostDisk(Table, frozen=True):
    """Disk space."""

    token_bytes: int
    row_bytes: int
    beside_kept: int
    """Checkpoints besides the newest ones that are kept: the best, and the one that is being written."""


class HostTable(Table, frozen=True):
    """The whole file."""

    ram: HostRam
    disk: HostDisk
