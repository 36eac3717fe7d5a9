"""The processor and the host's memory, under the limits that this process has."""

from __future__ import annotations

import functools
import math
import os
import platform
import time
from pathlib import Path
from typing import NamedTuple

import psutil

from backend.hardware import cgroup, contention
from backend.hardware.types import Cpu, Ram

CPU_INFO = Path("/proc/cpuinfo")
SHARED_MEMORY = Path("/dev/shm")
ENOUGH_SHARED_MEMORY = 2**30
"""NCCL takes some megabytes for each pair of GPUs and channel; a container has 64 MB unless told otherwise."""
SIZES = (512, 384, 256, 192)
"""Sides of the matrices that the rate is measured with."""
ALONE = 64
"""Side of a matrix that one thread multiplies in microseconds: too short for other programs to disturb it much."""
ATTEMPTS = 2
"""How often the rate is measured if the box is busy."""
THREADS = "OMP_NUM_THREADS"
"""The environment variable that numpy and torch obey."""


class CpuRate(NamedTuple):
    """FLOP/s of a float32 matrix product."""

    flops_per_second: float
    quiet: bool
    """No other program took cores away while it was measured."""


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


def threads_by_quota() -> int | None:
    """Threads that keep a quota of cores busy, as containers have it; None if this process may use all that it sees."""
    quota = cgroup.cpu_quota()
    return math.ceil(quota) if quota is not None and quota < _affinity(psutil.cpu_count() or 1) else None


@functools.cache
def measure_cpu_rate(processor: Cpu, seconds: float = 0.12) -> CpuRate:
    """Rate of this CPU, the best of some short products. Measured once.

    Beside other programs threads wait for each other, and products are up to a hundred times slower. If that happens
    twice, the rate is what one thread reaches alone, times the cores: on two cores 188 GFLOP/s under a load of 8 where
    all of them together reached 3, and 205 on the quiet box.
    """
    best, each = 0.0, seconds / len(SIZES)
    if threads_by_quota() is not None:  # a short product is over before a quota stops anything
        return CpuRate(processor.usable_cores * _best_rate(ALONE, each), quiet=True)
    for _ in range(ATTEMPTS):
        rates, busy = _until_busy(processor, each)
        best = max(best, *rates)
        if not busy:
            return CpuRate(best, quiet=True)
    return CpuRate(max(best, _threads(processor) * _best_rate(ALONE, each)), quiet=False)


def _until_busy(processor: Cpu, each: float) -> tuple[list[float], bool]:
    """Rates by size, each measured for `each` seconds, and whether other programs took cores away, which ends it."""
    rates, before = list[float](), contention.now()
    for n in SIZES:
        rates.append(_best_rate(n, each))
        if contention.is_busy(before, contention.now(), processor.usable_cores):
            return rates, True
    return rates, False


def _threads(processor: Cpu) -> float:
    """Threads that compute a product, each on its own core."""
    asked = os.environ.get(THREADS, "")
    cores = min(processor.usable_cores, processor.physical_cores)
    return min(cores, float(asked)) if asked.isdecimal() and int(asked) else cores


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
    """Seconds of a plain Python loop on this host, the best of some attempts: a measure for launching GPU kernels."""
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
