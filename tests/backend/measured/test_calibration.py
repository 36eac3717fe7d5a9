"""Records of finished runs -> what they say of each component."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from backend.answers import Answers
from backend.measured import calibration, records
from backend.measured.records import Phase, Record
from backend.plan.job import PeakParts, Uncorrected
from backend.planner import jobs
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
    """Predicted at a tenth of the rate: what was measured says that the rate was low, not that the formulas are."""
    busy = replace(record(CPU).predicted, device_flops_per_second=CPU.flops_per_second / 10, tokens_per_second=100.0)
    found = calibration.of(CPU, [msgspec.structs.replace(record(CPU), predicted=busy)], NOW)
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
    found = calibration.of(device, [record(device, **changes)], NOW)
    assert found is not None
    after = replace(device, calibration=found)
    for method, seen in compare(Answers(), after, model(LLAMA_1B), rows(1000)).methods.items():
        assert seen.memory.peak_bytes > 0 and 0 < seen.hours.low < seen.hours.high, method


def test_only_runs_of_this_device_count() -> None:
    others = [record(replace(HERE, name="A100 SXM 40GB")), record(CPU)]
    assert calibration.of(HERE, others, NOW) is None
    found = calibration.of(HERE, [*others, record()], NOW)
    assert found is not None and len(found.runs) == 1


def test_versions_differ_by_their_minor() -> None:
    assert not calibration.run(record(), NOW).old
    assert calibration.run(record(), {**NOW, "torch": "2.14.0"}).old
    assert calibration.run(record(versions={}), NOW).old


def keep(*found: Record) -> None:
    records.file().write_bytes(b"".join(msgspec.json.encode(one) + b"\n" for one in found))


def test_a_comparison_is_corrected_and_says_so() -> None:
    keep(*(record(run=str(i)) for i in range(3)))
    device = calibration.calibrated(HERE)
    before, after = (compare(Answers(), x, model(LLAMA_1B), rows(5000)) for x in (HERE, device))
    assert after.methods["lora"].tokens_per_second.point < before.methods["lora"].tokens_per_second.point
    assert after.methods["qlora"].tokens_per_second == before.methods["qlora"].tokens_per_second
    said = [note for note in after.notes if "corrected by" in note]
    assert said[0] == (
        "LoRA is corrected by 3 runs on this box: weights ×1.09, activations ×1.35, slack ×1.04, speed ×0.83, "
        "start and saving ×0.55, CUDA context −409 MiB."
    )
    assert said[1].startswith("QLoRA is corrected by 3 runs, none of them QLoRA, on this box: ")
    assert "speed" not in said[1]
    assert not [note for note in before.notes if "corrected" in note]


def test_a_device_elsewhere_is_never_corrected() -> None:
    keep(record())
    assert calibration.calibrated(A100_80) is A100_80


def test_a_correction_never_builds_on_another() -> None:
    keep(record(run="1"), record(run="2"))
    first = jobs.job(compare(Answers(), HERE, model(LLAMA_1B), rows(5000)), "lora")
    later = jobs.job(compare(Answers(), calibration.calibrated(HERE), model(LLAMA_1B), rows(5000)), "lora")
    assert first.predicted is not None and later.predicted is not None
    assert later.predicted.peak_bytes != first.predicted.peak_bytes and later.predicted.corrected_by_runs == 2
    assert later.plan == first.plan
    assert later.predicted.uncorrected == first.predicted.uncorrected is not None


def test_runs_stand_in_for_a_speed_that_nobody_knows() -> None:
    unknown = replace(HERE, name="RTX 7090", flops_per_second=0.0)
    first = jobs.job(compare(Answers(), unknown, model(LLAMA_1B), rows(5000)), "lora")
    assert first.predicted is not None and first.predicted.hours is None
    alone = first.predicted.uncorrected
    assert alone is not None and alone.tokens_per_second == 0 < alone.flops_per_token
    keep(record(unknown, predicted=alone, tokens_per_second=1234.0))
    after = compare(Answers(), calibration.calibrated(unknown), model(LLAMA_1B), rows(5000))
    speed = after.methods["lora"].tokens_per_second
    assert speed.point == pytest.approx(1234) and speed.low < 1100 < 1350 < speed.high
    assert after.methods["qlora"].hours.point != after.methods["qlora"].hours.point, "not a number"
    assert not any("is not known" in note for note in after.notes)
