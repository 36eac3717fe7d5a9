"""A memory prediction after this box's correction."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backend.answers import METHODS, Method
from backend.measured.correction import Calibration, Run
from backend.plan.plan import Plan
from backend.planner import fit, throughput
from backend.planner.corrected import corrected, parts, phase_peaks
from backend.planner.device import Device
from backend.planner.estimates import MemoryEstimate
from tests.shapes import A100_80, CPU, GIB, LLAMA_1B, model, rows

MODEL = model(LLAMA_1B)
DATA = rows(1000, 300)


def plan(method: Method) -> Plan:
    return Plan(method=method, max_length=1024, effective_batch=4)


def predicted(method: Method, device: Device) -> MemoryEstimate:
    return fit.predict(MODEL, plan(method), device, throughput.work(plan(method), DATA))


def after(device: Device, method: Method, **observed: float | int) -> Device:
    """`device` after so many runs that the correction is applied almost fully."""
    run = Run(method, LLAMA_1B.parameters, predicted_fixed_bytes=GIB, **observed)  # type: ignore[arg-type]
    return replace(device, calibration=Calibration((run,) * 200))


@pytest.mark.parametrize("device", [A100_80, CPU], ids=["gpu", "cpu"])
@pytest.mark.parametrize("method", METHODS)
def test_the_parts_are_the_whole(method: Method, device: Device) -> None:
    seen = predicted(method, device)
    raw = parts(seen, LLAMA_1B, plan(method), device)
    assert seen.peak_phase != "load"
    whole = raw.rest_bytes + raw.states_bytes + raw.transient_bytes + raw.slack_bytes + raw.fixed_bytes
    assert whole == seen.peak_bytes
    assert min(raw.rest_bytes, raw.states_bytes, raw.transient_bytes, raw.slack_bytes, raw.fixed_bytes) > 0


@pytest.mark.parametrize("method", METHODS)
def test_only_what_was_off_is_corrected(method: Method) -> None:
    before = predicted(method, A100_80)
    device = after(A100_80, method, transient=1.5, resident=1.0, fixed_bytes=100_000_000)
    seen, raw = predicted(method, device), parts(before, LLAMA_1B, plan(method), A100_80)
    expected = before.peak_bytes + 0.5 * (raw.transient_bytes + raw.slack_bytes) + 100_000_000
    assert seen.peak_bytes == pytest.approx(expected, rel=0.005)
    assert seen.by_category["optimizer"] == pytest.approx(before.by_category["optimizer"], abs=9)
    assert seen.by_category["activations"] == pytest.approx(1.5 * before.by_category["activations"], rel=0.01)


@pytest.mark.parametrize("device", [A100_80, CPU], ids=["gpu", "cpu"])
@pytest.mark.parametrize("method", METHODS)
def test_categories_sum_to_the_peak_and_the_peak_is_a_phase(method: Method, device: Device) -> None:
    for observed in ({"transient": 0.6}, {"transient": 1.7}, {"loading": 2.4, "transient": 0.5}, {"resident": 1.1}):
        seen = predicted(method, after(device, method, **observed))
        assert sum(seen.by_category.values()) == seen.peak_bytes
        assert seen.by_phase[seen.peak_phase] == seen.peak_allocated_bytes
        assert all(size > 0 for size in seen.by_category.values())


def test_another_phase_can_become_the_peak() -> None:
    before = predicted("lora", A100_80)
    after_load = predicted("lora", after(A100_80, "lora", transient=0.4, loading=2.5))
    assert before.peak_phase != "load" and after_load.peak_phase == "load"
    load_first = replace(before, peak_phase="load", by_phase=dict(before.by_phase) | {"load": 60 * GIB})
    moved = corrected(load_first, LLAMA_1B, plan("lora"), after(A100_80, "lora", transient=2.5, loading=0.4))
    assert sum(moved.by_category.values()) == moved.peak_bytes


def test_several_devices_are_left_as_predicted() -> None:
    four = replace(plan("full"), processes=4)
    load = throughput.work(four, DATA)
    assert fit.predict(MODEL, four, after(A100_80, "full", transient=2.0), load) == fit.predict(
        MODEL, four, A100_80, load
    )


def test_the_trainer_s_phases() -> None:
    gpu, cpu = predicted("lora", A100_80), predicted("lora", CPU)
    on_gpu = phase_peaks(gpu, LLAMA_1B, plan("lora"), A100_80)
    assert on_gpu["train"] == gpu.peak_allocated_bytes and on_gpu["load"] == gpu.by_phase["load"]
    on_cpu = phase_peaks(cpu, LLAMA_1B, plan("lora"), CPU)
    assert on_cpu["train"] == pytest.approx(cpu.peak_bytes, abs=2), "a process is measured whole"
    assert cpu.by_phase["eval"] < on_cpu["eval"] < on_cpu["train"]
