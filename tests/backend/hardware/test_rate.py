"""The CPU's rate is the best that was ever measured on this box."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from backend import paths
from backend.hardware import Cpu, rate

CPU = Cpu("AMD EPYC", 1, 2, 2.0, True, False)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    rates: list[float] = []
    monkeypatch.setattr(rate, "measure_cpu_flops", lambda: rates.pop(0))
    yield rates


def test_a_busy_moment_does_not_lower_the_rate(measured: list[float]) -> None:
    measured += [2e11, 1e10, 3e11]
    assert [rate.cpu_flops(CPU) for _ in range(3)] == [2e11, 2e11, 3e11]


def test_another_cpu_starts_anew(measured: list[float]) -> None:
    measured += [2e11, 1e10]
    rate.cpu_flops(CPU)
    assert rate.cpu_flops(replace(CPU, usable_cores=1.0)) == 1e10


def test_a_damaged_file_does_no_harm(measured: list[float]) -> None:
    (paths.home() / rate.FILE).write_text("oops")
    measured += [5e10]
    assert rate.cpu_flops(CPU) == 5e10
