from __future__ import annotations

from types import SimpleNamespace

import psutil
import pytest

from backend.hardware import cgroup, host, measure_cpu_flops
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


def test_the_rate_is_measured_once() -> None:
    assert measure_cpu_flops() == measure_cpu_flops() > 0
