"""Limits that a container or a job scheduler sets on memory and CPU: cgroup v1 and v2 files, read as text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
UNLIMITED = 2**60
"""v1 writes a number near 2**63 for "no limit"; no box has this much memory."""


@dataclass(frozen=True)
class MemoryLimit:
    """The tightest limit of this process's group and those above it."""

    limit_bytes: int
    used_bytes: int
    """Bytes that count against it, without file cache that the kernel can drop."""

    @property
    def free_bytes(self) -> int:
        """Bytes that may still be used."""
        return max(0, self.limit_bytes - self.used_bytes)


def memory_limit(root: Path = ROOT, membership: Path = MEMBERSHIP) -> MemoryLimit | None:
    """The memory limit of v1 or v2 that leaves least; None if there is none."""
    v2 = (_memory_v2(group) for group in _groups(root, membership, ""))
    v1 = (_memory_v1(group) for group in _groups(root / "memory", membership, "memory"))
    limits = [limit for limit in (*v2, *v1) if limit is not None]
    return min(limits, key=lambda limit: limit.free_bytes, default=None)


def cpu_quota(root: Path = ROOT, membership: Path = MEMBERSHIP) -> float | None:
    """CPUs' worth of time that this process's groups may use, such as 1.5; None if there is no limit."""
    v2 = (_cpu_v2(group) for group in _groups(root, membership, ""))
    v1_root = root / "cpu" if (root / "cpu").is_dir() else root / "cpu,cpuacct"
    v1 = (_cpu_v1(group) for group in _groups(v1_root, membership, "cpu"))
    return min((quota for quota in (*v2, *v1) if quota is not None), default=None)


def _groups(root: Path, membership: Path, controller: str) -> Iterator[Path]:
    """The group of this process and those above it, up to `root`. In a container the path may exist only in part."""
    path = _membership(_text(membership) or "", controller)
    if path is None:
        path = "/"
    group = root / path.lstrip("/")
    while True:
        if group.is_dir():
            yield group
        if group == root or root not in group.parents:
            return
        group = group.parent


def _membership(text: str, controller: str) -> str | None:
    """The path in a line such as `4:memory:/path` (v1) or `0::/path` (v2, an empty controller)."""
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return None if ".." in path else path
    return None


def _memory_v2(group: Path) -> MemoryLimit | None:
    return _memory(group, "memory.max", "memory.current", "inactive_file")


def _memory_v1(group: Path) -> MemoryLimit | None:
    return _memory(group, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def _memory(group: Path, limit_name: str, used_name: str, cache_name: str) -> MemoryLimit | None:
    limit = _number(group / limit_name)
    if limit is None or limit >= UNLIMITED:
        return None
    used = (_number(group / used_name) or 0) - _field(_text(group / "memory.stat") or "", cache_name)
    return MemoryLimit(limit, max(0, used))


def _cpu_v2(group: Path) -> float | None:
    """`cpu.max` holds `QUOTA PERIOD` in microseconds, or `max PERIOD`."""
    words = (_text(group / "cpu.max") or "").split()
    return int(words[0]) / int(words[1]) if len(words) == 2 and words[0].isdecimal() else None


def _cpu_v1(group: Path) -> float | None:
    """The quota is -1 if there is no limit."""
    quota, period = _number(group / "cpu.cfs_quota_us"), _number(group / "cpu.cfs_period_us")
    return quota / period if quota and period else None


def _field(text: str, name: str) -> int:
    """The number after `name` in lines of `name number`; 0 if there is none."""
    return next((int(words[1]) for line in text.splitlines() if (words := line.split())[:1] == [name]), 0)


def _number(path: Path) -> int | None:
    text = (_text(path) or "").strip()
    return int(text) if text.isdecimal() else None


def _text(path: Path) -> str | None:
    try:
        return path.read_text()
    except OSError:
        return None
