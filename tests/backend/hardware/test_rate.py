"""The CPU's rate is the best ever measured on this box; its number format follows from the last runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from backend import paths
from backend.hardware import Cpu, rate
from backend.hardware.host import CpuRate

CPU = Cpu("AMD EPYC", 1, 2, 2.0, True, False)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[CpuRate]]:
    """What is measured next."""
    rates: list[CpuRate] = []
    monkeypatch.setattr(rate, "measure_cpu_rate", lambda _: rates.pop(0))
    yield rates


def test_a_busy_moment_does_not_lower_the_rate(measured: list[CpuRate]) -> None:
    measured += [CpuRate(2e11, True), CpuRate(1e10, False), CpuRate(3e11, True)]
    assert [rate.cpu_rate(CPU) for _ in range(3)] == [
        (2e11, False, True),
        (2e11, True, True),
        (3e11, False, True),
    ]


def test_a_rate_of_a_busy_moment_is_not_trusted_until_a_quiet_one_is_known(measured: list[CpuRate]) -> None:
    measured += [CpuRate(1e11, False), CpuRate(9e10, False), CpuRate(8e10, True), CpuRate(1e10, False)]
    seen = [rate.cpu_rate(CPU) for _ in range(4)]
    assert [(x.busy, x.trusted) for x in seen] == [(True, False), (True, False), (False, True), (True, True)]
    assert {x.flops_per_second for x in seen} == {1e11}, "a slower one is never believed"


def test_a_busy_moment_makes_no_slow_host(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = [0.004, 0.002, 0.009]
    monkeypatch.setattr(rate, "measure_loop_seconds", lambda: seconds.pop(0))
    assert [rate.loop_seconds(CPU) for _ in range(3)] == [0.004, 0.002, 0.002]


def test_another_cpu_starts_anew(measured: list[CpuRate]) -> None:
    measured += [CpuRate(2e11, True), CpuRate(1e10, False)]
    rate.cpu_rate(CPU)
    assert rate.cpu_rate(replace(CPU, usable_cores=1.0)) == (1e10, True, False)


def test_a_damaged_file_does_no_harm(measured: list[CpuRate]) -> None:
    (paths.home() / rate.FILE).write_text("oops")
    measured += [CpuRate(5e10, True)]
    assert rate.cpu_rate(CPU).flops_per_second == 5e10


def test_a_file_of_an_earlier_version_is_kept_and_not_trusted(measured: list[CpuRate]) -> None:
    (paths.home() / rate.FILE).write_text('{"name": "AMD EPYC", "cores": 2.0, "flops_per_second": 2e11}')
    measured += [CpuRate(1e11, False)]
    assert rate.cpu_rate(CPU) == (2e11, True, False)


def test_the_instruction_set_decides_until_runs_have_measured(measured: list[CpuRate]) -> None:
    measured += [CpuRate(1e11, True)]
    without = replace(CPU, avx512_bf16=False)
    assert (rate.does_bf16_well(CPU), rate.does_bf16_well(without)) == (True, False)
    for gain in (0.5, 0.4):
        rate.remember_bf16_gain(CPU, gain)
    assert rate.does_bf16_well(CPU) and rate.bf16_gain(CPU) is None
    rate.remember_bf16_gain(CPU, 2.0)
    assert not rate.does_bf16_well(CPU) and rate.bf16_gain(CPU) == 0.5
    assert rate.cpu_rate(CPU).flops_per_second == 1e11 and rate.bf16_gain(CPU) == 0.5


def test_only_the_last_runs_count(fttui_home: Path) -> None:
    for gain in (0.5, 0.5, 0.5, 2.0, 2.0, 2.0):
        rate.remember_bf16_gain(CPU, gain)
    assert rate.does_bf16_well(CPU)
