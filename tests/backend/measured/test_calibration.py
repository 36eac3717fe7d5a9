"""From records of finished runs to a correction of each component."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from backend.answers import Answers
from backend.measured import calibration
from backend.measured.correction import Calibration
from backend.measured.records import Phase, Record
from backend.plan.job import PeakParts, Uncorrected
from backend.planner.compare import compare
from backend.planner.device import Device
from tests.shapes import A100_80, CPU, LLAMA_1B, model, rows

GB = 10**9
RAW = PeakParts(
    rest_bytes=2 * GB, states_bytes=GB, transient_bytes=4 * GB, slack_bytes=2 * GB, fixed_bytes=GB, load_bytes=3 * GB
)
NOW = {"fttui": "0.1.0", "torch": "2.13.1", "transformers": "5.23.0"}
HERE = replace(A100_80, here=True)


def phase(peak: float, rest: float, reserved: float = 0.0, seconds: float = 10.0) -> Phase:
    return Phase(int(peak * GB), int((reserved or peak) * GB), int(rest * GB), seconds, 1)


def record(device: Device = HERE, **changes: Any) -> Record:
    known: dict[str, Any] = {
        "t": 1.0,
        "run": "a-run",
        "kind": device.kind,
        "device": device.name,
        "versions": {"fttui": "0.1.0", "torch": "2.13.0+cu130", "transformers": "5.23.0"},
        "model": "1b",
        "method": "lora",
        "settings": {},
        "predicted": Uncorrected(LLAMA_1B.parameters, RAW, 1000.0, 40.0, 5e9),
        "phases": {
            "data": phase(0, 0, seconds=5),
            "load": phase(3, 2),
            "train": phase(9, 3.3, reserved=12),
            "eval": phase(5, 3.3, seconds=99),
            "save": phase(4, 3.3, seconds=5),
        },
        "context_bytes": GB // 2,
        "steps": 20,
        "tokens_per_second": 800.0,
    }
    return Record(**known | changes)


def of(device: Device, *found: Record) -> Calibration | None:
    return calibration.of(device.kind, device.name, found, device.flops_per_second, NOW)


def test_a_run_on_a_gpu_by_component() -> None:
    seen = calibration.run(record(), NOW)
    assert seen.resident == pytest.approx(3.3 / 3)
    assert seen.transient == pytest.approx((9 - 3.3) / 4)
    assert seen.slack == pytest.approx((12 - 9) / (2 * (9 - 3.3) / 4))
    assert seen.loading == 1 and seen.fixed_bytes == -GB // 2 and not seen.old
    assert seen.speed == 0.8 and seen.overhead == pytest.approx(20 / 40)


def test_a_run_on_a_cpu_by_component() -> None:
    """RSS: 1.4 GB of interpreter beside 2 GB of weights; 4.5 GB predicted to pass in a step, 6 with slack."""
    phases = {"load": phase(5, 3.4), "train": phase(8.9, 7), "eval": phase(9.1, 7)}
    seen = calibration.run(record(CPU, phases=phases, context_bytes=None), NOW)
    assert seen.fixed_bytes == pytest.approx(0.4 * GB)
    assert seen.transient == pytest.approx((9.1 - 3.4 - 1) / 6)
    assert seen.loading == pytest.approx((5 - 1.4) / 3)
    assert seen.resident is None and seen.slack is None


def test_a_cpu_whose_rate_was_measured_in_a_busy_moment() -> None:
    """Predicted at a tenth of the rate: the measurement shows that the rate was too low, not that the formulas are."""
    busy = replace(record(CPU).predicted, device_flops_per_second=CPU.flops_per_second / 10, tokens_per_second=100.0)
    found = of(CPU, msgspec.structs.replace(record(CPU), predicted=busy))
    assert found is not None and found.runs[0].speed == pytest.approx(0.8)


@pytest.mark.parametrize(
    "changes",
    [
        {"phases": {}},
        {"tokens_per_second": None},
        {"tokens_per_second": 0.0},
        {"predicted": Uncorrected(LLAMA_1B.parameters, PeakParts(0, 0, 0, 0, 0, 0), 0.0, 0.0)},
        {"phases": {"load": phase(0, 0), "train": phase(0, 0)}},
    ],
)
@pytest.mark.parametrize("device", [HERE, CPU], ids=["gpu", "cpu"])
def test_figures_that_make_no_sense_say_nothing(device: Device, changes: dict[str, Any]) -> None:
    found = of(device, record(device, **changes))
    assert found is not None
    after = replace(device, calibration=found)
    for method, seen in compare(Answers(), after, model(LLAMA_1B), rows(1000)).methods.items():
        assert seen.memory.peak_bytes > 0 and 0 < seen.hours.low < seen.hours.high, method


def test_only_runs_of_this_device_count() -> None:
    others = [record(replace(HERE, name="A100 SXM 40GB")), record(CPU)]
    assert of(HERE, *others) is None
    found = of(HERE, *others, record())
    assert found is not None and len(found.runs) == 1


def test_versions_differ_by_their_minor() -> None:
    assert not calibration.run(record(), NOW).old
    assert calibration.run(record(), {**NOW, "torch": "2.14.0"}).old
    assert calibration.run(record(versions={}), NOW).old
