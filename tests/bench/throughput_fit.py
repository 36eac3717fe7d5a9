"""Fit the constants marked `fitted` in presets/throughput.toml, all at once, on the runs of one half of the models.

Least mean |log(estimated / published)|, by turns: each constant is moved a little as long as that helps. Similar runs
(one source, model, method, GPU and set of kernels) count together as the square root of their number.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from unittest import mock

import msgspec

from backend import constants, typed
from backend.constants.throughput_toml import ThroughputTable
from backend.planner import gpu_time, throughput
from backend.planner.gpu_time import Pass
from tests.bench.throughput import Case, cases, fitted_models, kernels_of

STEPS = (1.15, 1.07, 1.03, 1.015)

CLASSES = ("GeForce 40", "GeForce 50", "GeForce 30", "L40S", "Ada", "T4", "A100", "H100")
"""The first classes of presets/throughput.toml, in its order."""
FITTED = ("GeForce 40", "GeForce 50", "GeForce 30", "T4", "A100", "H100")
"""Classes whose share of the peak is fitted."""


@dataclass(frozen=True)
class Constant:
    """One constant, or several that move together."""

    name: str
    places: tuple[tuple[dict[str, Any], str], ...]
    most: float = math.inf

    @property
    def value(self) -> float:
        """Of its first place."""
        table, key = self.places[0]
        return float(table[key])

    def scale(self, factor: float) -> None:
        """Multiply it everywhere."""
        for table, key in self.places:
            table[key] *= factor


def lines() -> Iterator[str]:
    """The constants as they ship and as fitted, and the error on both halves. Nothing outside is changed."""
    table = msgspec.to_builtins(constants.throughput())
    half = [case for case in cases() if case.run.model in fitted_models() and not _unlike(case)]
    rest = [case for case in cases() if case.run.model not in fitted_models()]
    found = _constants(table)
    start = {constant.name: constant.value for constant in found}
    _descend(found, lambda: _loss(half, table))
    yield from (f"{x.name:30} {start[x.name]:8.3f} -> {x.value:8.3f}" for x in found)
    yield f"mean |log error|, half fitted on: {_loss(half, table):.4f}, held out: {_loss(rest, table):.4f}"


def _unlike(case: Case) -> bool:
    """Whether nothing is fitted on it: kernels that the estimate has no table of."""
    return case.run.kernels == "engine" or (case.run.kernels == "upcast" and kernels_of(case.run) == "stock")


def _constants(table: dict[str, Any]) -> list[Constant]:
    gpu, stock, fused = table["gpu"], table["kernels"]["stock"], table["kernels"]["fused"]
    by_name = dict(zip(CLASSES, table["class"], strict=False))
    ada, blackwell, ampere = by_name["GeForce 40"], by_name["GeForce 50"], by_name["GeForce 30"]
    t4, a100, h100 = by_name["T4"], by_name["A100"], by_name["H100"]
    return [
        *(Constant(f"{name} matmul", ((by_name[name], "matmul"),), most=1.0) for name in FITTED),
        Constant("A100 attention", tuple((x, "attention") for x in (a100, ada, blackwell, ampere, t4)), most=1.0),
        Constant("H100 attention", ((h100, "attention"),), most=1.0),
        Constant("T4 host", ((t4, "host"),)),
        Constant("recompute", ((gpu, "recompute"),), most=1.0),
        Constant("several", ((gpu, "several"),), most=1.0),
        Constant("fused hidden, heads, mlp", tuple((fused, key) for key in ("hidden", "heads", "mlp"))),
        Constant("fused adapters", tuple((fused, key) for key in ("adapter_inputs", "adapter_outputs"))),
        Constant("fused launches", tuple((fused, key) for key in ("block_seconds", "adapter_seconds", "nf4_seconds"))),
        Constant("stock launches", tuple((stock, key) for key in ("block_seconds", "adapter_seconds", "nf4_seconds"))),
    ]


def _descend(found: Sequence[Constant], loss: Callable[[], float]) -> None:
    best = loss()
    for step in STEPS:
        moved = True
        while moved:
            moved = False
            for constant in found:
                for factor in (step, 1 / step):
                    after = _tried(constant, factor, loss)
                    if after < best - 1e-4:
                        best, moved = after, True
                        break
                    constant.scale(1 / factor)


def _tried(constant: Constant, factor: float, loss: Callable[[], float]) -> float:
    constant.scale(factor)
    return loss() if constant.value <= constant.most else math.inf


def _loss(some: Sequence[Case], table: dict[str, Any]) -> float:
    alike = Counter(_kind(case) for case in some)
    weights = [1 / math.sqrt(alike[_kind(case)]) for case in some]
    with mock.patch.object(constants, "throughput", return_value=typed.convert(table, ThroughputTable)):
        errors = [abs(math.log(_ratio(case))) for case in some]
    return sum(w * e for w, e in zip(weights, errors, strict=True)) / sum(weights)


def _ratio(case: Case) -> float:
    """Estimated over published, for the point estimate alone."""
    one, passes = _passes(case)
    seconds = gpu_time.step_seconds(case.shape, case.plan, case.device, one, passes, kernels_of(case.run))
    assert case.run.tokens_per_second is not None
    return case.load.step_tokens / case.run.gpus / seconds / case.run.tokens_per_second


@cache
def _passes(case: Case) -> tuple[Pass, int]:
    return throughput.one_pass(case.plan, case.load), throughput.passes_per_step(case.plan, case.load)


def _kind(case: Case) -> tuple[str, ...]:
    run = case.run
    return run.source.split("-")[0], run.model, run.method, run.quantization, run.gpu, run.kernels
