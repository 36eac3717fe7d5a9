"""The CPU's rate is the best that was ever measured on this box; its number format goes by the last runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

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


def test_a_busy_moment_makes_no_slow_host(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = [0.004, 0.002, 0.009]
    monkeypatch.setattr(rate, "measure_loop_seconds", lambda: seconds.pop(0))
    assert [rate.loop_seconds(CPU) for _ in range(3)] == [0.004, 0.002, 0.002]


def test_another_cpu_starts_anew(measured: list[float]) -> None:
    measured += [2e11, 1e10]
    rate.cpu_flops(CPU)
    assert rate.cpu_flops(replace(CPU, usable_cores=1.0)) == 1e10


def test_a_damaged_file_does_no_harm(measured: list[float]) -> None:
    (paths.home() / rate.FILE).write_text("oops")
    measured += [5e10]
    assert rate.cpu_flops(CPU) == 5e10


def test_the_instruction_set_decides_until_runs_have_measured(measured: list[float]) -> None:
    measured += [1e11]
    without = replace(CPU, avx512_bf16=False)
    assert (rate.does_bf16_well(CPU), rate.does_bf16_well(without)) == (True, False)
    for gain in (0.5, 0.4):
        rate.remember_bf16_gain(CPU, gain)
    assert rate.does_bf16_well(CPU) and rate.bf16_gain(CPU) is None
    rate.remember_bf16_gain(CPU, 2.0)
    assert not rate.does_bf16_well(CPU) and rate.bf16_gain(CPU) == 0.5
    assert rate.cpu_flops(CPU) == 1e11 and rate.bf16_gain(CPU) == 0.5


def test_only_the_last_runs_count(fttui_home: Path) -> None:
    for gain in (0.5, 0.5, 0.5, 2.0, 2.0, 2.0):
        rate.remember_bf16_gain(CPU, gain)
    assert rate.does_bf16_well(CPU)
