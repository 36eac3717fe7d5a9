"""The processor and the host's memory, under the limits that this process has."""

from __future__ import annotations

import functools
import os
import platform
import time
from pathlib import Path

import psutil

from backend.hardware import cgroup
from backend.hardware.types import Cpu, Ram

CPU_INFO = Path("/proc/cpuinfo")
SHARED_MEMORY = Path("/dev/shm")
ENOUGH_SHARED_MEMORY = 2**30
"""NCCL takes some megabytes for each pair of GPUs and channel; a container has 64 MB unless told otherwise."""
SIZES = (512, 384, 256, 192)
"""Sides of the matrices that the rate is measured with."""


def cpu() -> Cpu:
    """The processor, and how much of it this process may use."""
    name, flags = parse_cpu_info(_cpu_info())
    logical = psutil.cpu_count() or 1
    return Cpu(
        name=name or platform.processor() or platform.machine() or "CPU",
        physical_cores=psutil.cpu_count(logical=False) or logical,
        logical_cores=logical,
        usable_cores=min(float(_affinity(logical)), cgroup.cpu_quota() or float(logical)),
        avx512_bf16="avx512_bf16" in flags,
        amx_bf16="amx_bf16" in flags,
    )


def ram() -> Ram:
    """Memory that this process may use: the machine's, or less if a cgroup limits it."""
    machine = psutil.virtual_memory()
    limit = cgroup.memory_limit()
    if limit is None or limit.limit_bytes >= machine.total:
        return Ram(machine.total, machine.available, limited=False)
    return Ram(limit.limit_bytes, min(machine.available, limit.free_bytes), limited=True)


def shared_memory_bytes(folder: Path = SHARED_MEMORY) -> int | None:
    """How much `/dev/shm` can hold, through which processes exchange data; None if it can't be told."""
    try:
        return psutil.disk_usage(str(folder)).total
    except OSError:
        return None


def parse_cpu_info(text: str) -> tuple[str, frozenset[str]]:
    """Name and flags of the first processor in the text of /proc/cpuinfo; empty if it has none."""
    fields = dict[str, str]()
    for line in text.splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    return fields.get("model name", ""), frozenset(fields.get("flags", fields.get("Features", "")).split())


@functools.cache
def measure_cpu_flops(seconds: float = 0.12) -> float:
    """Rate of a float32 matrix product on this CPU in FLOP/s, the best of what fits into `seconds`. Measured once.

    Products of several sizes: beside other work, threads that wait for each other can make one size fifty times slower
    and leave the next alone.
    """
    return max(_best_rate(n, seconds / len(SIZES)) for n in SIZES)


def _best_rate(n: int, seconds: float) -> float:
    """FLOP/s of n x n matrices, 2 n^3 operations a product. The first one warms up the threads and does not count."""
    import numpy as np

    a, out = np.ones((n, n), dtype=np.float32), np.empty((n, n), dtype=np.float32)
    np.matmul(a, a, out=out)
    end, best = time.perf_counter() + seconds, float("inf")
    while time.perf_counter() < end:
        start = time.perf_counter()
        np.matmul(a, a, out=out)
        best = min(best, time.perf_counter() - start)
    return 2 * n**3 / best


@functools.cache
def measure_loop_seconds(attempts: int = 5) -> float:
    """Seconds of a plain Python loop on this host, the best of some attempts: as fast it launches a GPU's kernels."""
    return min(_loop_seconds() for _ in range(attempts))


def _loop_seconds() -> float:
    start, kept, x = time.perf_counter(), dict[int, tuple[int, int]](), 0
    for turn in range(20_000):
        kept[turn & 63] = (x, turn)
        x = (x * 3 + turn) & 0xFFFF
    return time.perf_counter() - start


def _affinity(logical: int) -> int:
    """Logical cores that the scheduler may put this process on; not every platform can say."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else logical


def _cpu_info() -> str:
    try:
        return CPU_INFO.read_text()
    except OSError:
        return ""
