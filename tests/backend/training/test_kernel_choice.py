"""Kernels: replacements compute the same, the fastest are used and remembered, and the run reports them.

Liger's own functions need a GPU (or Triton's interpreter): stand-ins compute what they compute.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import silu

from backend.measured import kernels as measured
from backend.plan.plan import Plan
from backend.training import fused, kernel_choice, methods
from backend.training.batches import micro_batches
from backend.training.loss import whole
from backend.training.parallel.execution import Execution
from backend.training.precision import autocast
from backend.training.report import Report
from backend.training.train import train
from tests.backend.training.families import network
from tests.backend.training.helpers import events, log_text, new_run, random_rows

SETTINGS = Plan(precision="float32", max_length=200)


class Norm:
    """Liger's RMSNorm: `offset` is added to the weight."""

    @staticmethod
    def apply(x: Tensor, weight: Tensor, epsilon: float, offset: float, casting: str, in_place: bool) -> Tensor:
        wide = x.float()
        scaled = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + epsilon)
        return (scaled * (weight.float() + offset)).to(x.dtype)


class Gate:
    """Liger's silu(gate) * up."""

    @staticmethod
    def apply(gate: Tensor, up: Tensor) -> Tensor:
        return silu(gate) * up


@pytest.fixture
def liger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused, "_kernels", lambda: (Norm, Gate))


def _loss(model: Any) -> tuple[Tensor, Tensor]:
    model.zero_grad()
    (batch,) = micro_batches(random_rows(4, longest=30), Execution(SETTINGS, "cpu"))
    total = whole(model)(batch)
    total.backward()  # type: ignore[no-untyped-call]
    return total.detach(), model.get_input_embeddings().weight.grad.clone()


@pytest.mark.parametrize(
    ("family", "replaced"),
    # Two blocks with two norms each (Gemma: four, or six with query and key norms) and an MLP; and the last norm.
    [("llama", 7), ("qwen2", 7), ("qwen3", 11), ("mistral", 7), ("gemma3_text", 13), ("granite", 7)],
)
@pytest.mark.usefixtures("liger")
def test_fused_kernels_change_no_loss_and_no_gradient(family: str, replaced: int) -> None:
    model = network(family)
    for name, parameter in model.named_parameters():
        if "norm" in name:
            torch.nn.init.normal_(parameter, mean=1.0, std=0.3)
    plain = _loss(model)
    assert fused.patch(model) == replaced
    for one, other in zip(_loss(model), plain, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    fused.restore(model)
    assert not any("forward" in vars(module) for module in model.modules())


@pytest.mark.parametrize("precision", ["bfloat16", "float32"])
@pytest.mark.parametrize("method", ["lora", "qlora", "full"])
@pytest.mark.usefixtures("liger")
def test_every_method_takes_them_in_either_precision(method: Any, precision: Any, tiny_model: Path) -> None:
    """Adapters are float32 over 16-bit or 4-bit weights, and kernels are tried as a step runs them."""
    quantization: Any = "nf4" if method == "qlora" else "none"
    plan = Plan(method=method, quantization=quantization, precision=precision, max_length=64)
    execution = Execution(plan, "cpu")
    loaded = methods.load(tiny_model, "base", execution)
    batches, losses = micro_batches(random_rows(2, longest=30), execution), []
    for _ in range(2):
        with autocast(plan, "cpu"):
            losses.append(float(whole(loaded.network)(batches[0]).detach()))
        assert kernel_choice.use_fused(loaded, plan) is None
    replaced = [type(x).__name__ for x in loaded.network.modules() if isinstance(vars(x).get("forward"), partial)]
    assert (replaced.count("LlamaRMSNorm"), replaced.count("LlamaMLP")) == (5, 2)
    assert losses[1] == pytest.approx(losses[0], rel=1e-3 if precision == "bfloat16" else 1e-5)


def test_a_kernel_that_computes_something_else_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    class Wrong:
        @staticmethod
        def apply(*arguments: Any) -> Tensor:
            found: Tensor = arguments[0] * 1.5
            return found

    monkeypatch.setattr(fused, "_kernels", lambda: (Wrong, Wrong))
    with pytest.raises(fused.NotThere, match="no norm or MLP of this model is one that Liger has"):
        fused.patch(network("llama"))


def test_without_liger_a_run_says_so_and_goes_on(tiny_model: Path, questions: Path) -> None:
    folder = new_run(tiny_model, questions, kernels="fused", max_steps=1, eval_fraction=0.0)
    assert train(folder) == "done"
    assert "fused kernels are not used: liger-kernel can't be loaded" in log_text(folder)


def test_each_candidate_is_timed_and_taken_back() -> None:
    done: list[str] = []
    times = iter([9.0, 3.0, 2.0, 4.0, 9.0, 1.0, 1.5, 1.2])

    def candidate(name: Any, why: str | None = None) -> kernel_choice.Candidate:
        def use() -> str | None:
            done.append(f"use {name}")
            return why

        return name, use, lambda: done.append(f"undo {name}")

    some = [candidate("stock"), candidate("fused"), candidate("compiled", "no compiler")]
    assert kernel_choice.time_each(some, lambda: next(times)) == {"stock": 2.0, "fused": 1.0}
    assert done == ["use stock", "undo stock", "use fused", "undo fused", "use compiled"]


def test_memory_that_runs_out_costs_a_candidate_alone() -> None:
    def run() -> float:
        raise torch.OutOfMemoryError

    undone: list[int] = []
    assert kernel_choice.time_each([("fused", lambda: None, lambda: undone.append(1))], run) == {}
    assert undone == [1]


def test_a_failure_costs_other_kernels_alone_and_is_an_error_of_transformers_own() -> None:
    def run() -> float:
        raise RuntimeError("Failed to find C compiler")

    assert kernel_choice.time_each([("fused", lambda: None, lambda: None)], run) == {}
    with pytest.raises(RuntimeError, match="C compiler"):
        kernel_choice.time_each([("stock", lambda: None, lambda: None)], run)


@pytest.mark.parametrize(
    ("seconds", "best"),
    [({"stock": 1.0, "fused": 0.9}, "fused"), ({"stock": 1.0, "fused": 0.99}, "stock"), ({"stock": 1.0}, "stock")],
)
def test_the_fastest_is_taken_if_that_is_worth_it(seconds: dict[Any, float], best: str) -> None:
    assert kernel_choice.choose(seconds) == best


@pytest.mark.usefixtures("liger")
def test_what_was_measured_is_used_said_and_remembered(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    plan = Plan(method="lora", quantization="none", precision="float32", measure_kernels=True, max_length=64)
    loaded = methods.load(tiny_model, "base", Execution(plan, "cpu"))
    norm = loaded.network.get_decoder().norm
    said, phases = list[str](), list[str]()
    monkeypatch.setattr(Report, "say", lambda self, text, *_: said.append(text))
    monkeypatch.setattr(Report, "phase", lambda self, name: phases.append(name))
    monkeypatch.setattr(kernel_choice, "_pass", lambda *_: 1.0 if "forward" in vars(norm) else 2.0)
    monkeypatch.setattr(kernel_choice, "micro_batches", lambda rows, _: micro_batches(rows, Execution(plan, "cpu")))
    report = Report.__new__(Report)
    settled = kernel_choice.settle(Execution(plan, "cuda"), loaded, random_rows(2, longest=30), "RTX 4090", report)
    assert (settled.kernels, settled.measure_kernels) == ("fused", False)
    assert "forward" in vars(norm)
    assert said == ["kernels, a pass of 64 tokens: stock 2000 ms, fused 1000 ms; fused is taken"]
    assert phases == ["kernels", "load"], "a pass takes more memory than loading, which is corrected by its peak"
    ((name, found),) = measured.known().items()
    assert name.startswith("RTX 4090, llama ") and found.kernels == "fused"


def test_a_cpu_measures_nothing(tiny_model: Path) -> None:
    plan = Plan(method="lora", quantization="none", precision="float32", measure_kernels=True)
    loaded = methods.load(tiny_model, "base", Execution(plan, "cpu"))
    report = Report.__new__(Report)
    assert not kernel_choice.settle(Execution(plan, "cpu"), loaded, random_rows(2), "CPU", report).measure_kernels
    assert not measured.file().exists()


def test_a_run_that_was_to_time_kernels_is_as_planned(tiny_model: Path, questions: Path) -> None:
    """Otherwise no run with the planner's own GPU settings would correct the next prediction."""
    folder = new_run(tiny_model, questions, measure_kernels=True, max_steps=1)
    assert train(folder) == "done"
    assert events(folder, "measured")[0]["as_planned"] is True
