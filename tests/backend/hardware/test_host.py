from __future__ import annotations

from types import SimpleNamespace

import psutil
import pytest

from backend.hardware import Cpu, cgroup, contention, host
from backend.hardware.cgroup import MemoryLimit

GIB = 2**30
INTEL = """processor : 0
model name : Intel(R) Xeon(R) Platinum 8480+
flags : fpu avx512_bf16 amx_bf16 amx_tile

processor : 1
model name : another
"""


def test_name_and_flags_of_the_first_processor() -> None:
    name, flags = host.parse_cpu_info(INTEL)
    assert name == "Intel(R) Xeon(R) Platinum 8480+"
    assert {"avx512_bf16", "amx_bf16"} <= flags
    assert host.parse_cpu_info("") == ("", frozenset())


def test_a_quota_and_the_affinity_bound_the_usable_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "_cpu_info", lambda: INTEL)
    monkeypatch.setattr(psutil, "cpu_count", lambda logical=True: 16 if logical else 8)
    monkeypatch.setattr(host, "_affinity", lambda logical: 4)
    monkeypatch.setattr(cgroup, "cpu_quota", lambda: None)
    processor = host.cpu()
    assert (processor.physical_cores, processor.logical_cores, processor.usable_cores) == (8, 16, 4.0)
    assert processor.bf16
    monkeypatch.setattr(cgroup, "cpu_quota", lambda: 1.5)
    assert host.cpu().usable_cores == 1.5


@pytest.mark.parametrize(
    ("limit", "total", "available", "limited"),
    [
        (None, 64, 50, False),
        (MemoryLimit(128 * GIB, 0), 64, 50, False),
        (MemoryLimit(16 * GIB, 6 * GIB), 16, 10, True),
        (MemoryLimit(60 * GIB, 0), 60, 50, True),
    ],
)
def test_ram_under_a_limit(
    monkeypatch: pytest.MonkeyPatch, limit: MemoryLimit | None, total: int, available: int, limited: bool
) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=64 * GIB, available=50 * GIB))
    monkeypatch.setattr(cgroup, "memory_limit", lambda: limit)
    ram = host.ram()
    assert (ram.total_bytes, ram.available_bytes, ram.limited) == (total * GIB, available * GIB, limited)


CPU = Cpu("AMD EPYC", 2, 2, 2.0, True, False)


def test_the_rate_is_measured_once() -> None:
    assert host.measure_cpu_rate(CPU, 0.01) == host.measure_cpu_rate(CPU, 0.01)
    assert host.measure_cpu_rate(CPU, 0.01).flops_per_second > 0


@pytest.mark.parametrize(
    ("busy", "expected"),
    [
        ([False] * 4, (5e10, True)),
        ([True, *[False] * 4], (8e10, True)),
        ([True, False, True], (1.4e11, False)),
    ],
    ids=["quiet", "busy for a moment", "busy"],
)
def test_a_busy_box_is_measured_again_and_then_by_one_core(
    busy: list[bool], expected: tuple[float, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four sizes reach 50 GFLOP/s, later ones 80; one thread alone reaches 70, so that two cores are worth 140."""
    rates = iter([5e10] * (1 if busy[0] else 4) + [8e10] * 4)
    monkeypatch.delenv(host.THREADS, raising=False)
    monkeypatch.setattr(host, "_best_rate", lambda n, _: 7e10 if n == host.ALONE else next(rates))
    monkeypatch.setattr(contention, "is_busy", lambda *_: busy.pop(0))
    assert host.measure_cpu_rate.__wrapped__(CPU) == expected
    assert not busy, "it stops measuring when it knows that the box is busy"


def test_a_quota_bounds_the_rate_that_a_short_product_would_not_notice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two cores' worth of 64: all of them compute for a millisecond, and are then throttled."""
    monkeypatch.setattr(cgroup, "cpu_quota", lambda: 2.0)
    monkeypatch.setattr(host, "_affinity", lambda _: 64)
    monkeypatch.setattr(host, "_best_rate", lambda n, _: 7e10 if n == host.ALONE else 4e12)
    assert host.measure_cpu_rate.__wrapped__(CPU) == (1.4e11, True)


@pytest.mark.parametrize(("asked", "rate"), [("1", 7e10), ("8", 1.4e11), ("", 1.4e11), ("0", 1.4e11), ("2,1", 1.4e11)])
def test_beside_others_only_the_threads_that_a_run_has_count(
    asked: str, rate: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads that wait for each other reach 3 GFLOP/s together, and one of them 70 alone."""
    monkeypatch.setenv(host.THREADS, asked)
    monkeypatch.setattr(host, "_best_rate", lambda n, _: 7e10 if n == host.ALONE else 3e9)
    monkeypatch.setattr(contention, "is_busy", lambda *_: True)
    assert host.measure_cpu_rate.__wrapped__(CPU) == (rate, False)
