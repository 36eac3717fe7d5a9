"""The plan field `kernels`: what is available, what the user set, what this box measured."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backend.answers import Answers
from backend.errors import UserError
from backend.measured import kernels as measured
from backend.plan.plan import Plan
from backend.planner import gpu_time, kernels, throughput
from backend.planner.compare import compare
from backend.planner.device import Device
from backend.planner.estimates import Comparison
from tests.shapes import A100_80, CPU, LLAMA_8B, model, rows

HERE = replace(A100_80, here=True)


def planned(device: Device, *settings: str) -> Plan:
    return compared(device, *settings).methods["lora"].plan


def compared(device: Device, *settings: str) -> Comparison:
    return compare(Answers(set=settings), device, model(), rows(5000))


def test_a_gpu_of_this_box_measures_what_is_left_open() -> None:
    assert planned(HERE).measure_kernels and planned(HERE).kernels == "stock"
    assert not planned(A100_80).measure_kernels  # a card that is not here
    assert not planned(CPU).measure_kernels
    assert not planned(HERE, "kernels=stock").measure_kernels
    assert not planned(HERE, "measure_kernels=false").measure_kernels


def test_what_was_measured_here_is_taken_and_the_estimate_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = planned(HERE)
    name = measured.key(HERE.name, LLAMA_8B.family, LLAMA_8B.hidden, LLAMA_8B.layers, plan)
    measured.remember(name, {"stock": 1.0, "fused": 0.8})
    assert measured.known()[name].kernels == "fused"
    informed = replace(HERE, kernels=measured.fastest())
    again = planned(informed)
    assert (again.kernels, again.measure_kernels) == ("fused", False)
    before, after = (compared(x).methods["lora"].tokens_per_second for x in (HERE, informed))
    assert after.point > before.point
    assert after.high / after.low > before.high / before.low  # no run has measured Liger's kernels yet
    other = planned(informed, "max_length=1024")
    assert (other.kernels, other.measure_kernels) == ("stock", True)


def test_a_damaged_memory_of_it_is_none() -> None:
    measured.file().parent.mkdir(parents=True, exist_ok=True)
    measured.file().write_text('{"a": {"kernels": "magic"}}')
    assert measured.known() == {}


def test_compile_and_compiled_kernels_are_one_thing() -> None:
    for said in ("compile=true", "kernels=compiled"):
        plan = planned(A100_80, said)
        assert (plan.compile, plan.kernels) == (True, "compiled")
    with pytest.raises(UserError, match="compile: false contradicts kernels=compiled"):
        planned(A100_80, "compile=false", "kernels=compiled")
    with pytest.raises(UserError, match="compile: true contradicts kernels=fused"):
        planned(A100_80, "compile=true", "kernels=fused")


def test_fused_kernels_are_refused_where_they_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    assert planned(A100_80, "kernels=fused").kernels == "fused"
    with pytest.raises(UserError, match="kernels: fused runs on a GPU only"):
        planned(CPU, "kernels=fused")
    monkeypatch.setattr(kernels, "LIGER", "no_such_package")
    with pytest.raises(UserError, match=r"which is not installed; .* pip install 'fttui\[fused\]'"):
        planned(HERE, "kernels=fused")
    with pytest.raises(UserError, match="kernels"):
        planned(A100_80, "kernels=triton")


def test_the_estimate_of_a_step_is_that_of_the_plans_kernels() -> None:
    plan = Plan(method="lora", quantization="none", max_length=2048, micro_batch=4)
    load = throughput.work(plan, rows(5000, 1024))

    def point(plan: Plan) -> float:
        step = throughput.step_seconds(LLAMA_8B, plan, A100_80, load)
        assert step is not None
        return step.point

    compiled = replace(plan, kernels="compiled", compile=True)
    assert point(compiled) < point(replace(plan, kernels="fused")) < point(plan)
    assert gpu_time.kernels_of(replace(plan, compile=True)) == "compiled"
