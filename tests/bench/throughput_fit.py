"""Fit the constants marked `fitted` in presets/throughput.toml, all at once, on the runs of one half of the models.

Least mean |log(estimated / published)|, by turns: each constant is moved a little as long as that helps. Runs that are
much alike (one source, model, method, GPU and set of kernels) count together as the square root of their number.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from unittest import mock

import msgspec

from backend import constants, typed
from backend.constants.throughput_toml import ThroughputTable
from tests.bench.throughput import Case, cases, fitted_models, result

STEPS = (1.15, 1.07, 1.03, 1.015)


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
    half = [case for case in cases() if case.run.model in fitted_models() and case.run.kernels != "upcast"]
    rest = [case for case in cases() if case.run.model not in fitted_models()]
    found = _constants(table)
    start = {constant.name: constant.value for constant in found}
    _descend(found, lambda: _loss(half, table))
    yield from (f"{x.name:30} {start[x.name]:8.3f} -> {x.value:8.3f}" for x in found)
    yield f"mean |log error|, half fitted on: {_loss(half, table):.4f}, held out: {_loss(rest, table):.4f}"


def _constants(table: dict[str, Any]) -> list[Constant]:
    classes, gpu, fused = table["class"], table["gpu"], table["kernels"]["fused"]
    rtx_4090, a100, h100 = classes[:3]
    return [
        Constant("RTX 4090 matmul", ((rtx_4090, "matmul"),), most=1.0),
        Constant("A100 matmul", ((a100, "matmul"),), most=1.0),
        Constant("A100 attention", ((a100, "attention"), (rtx_4090, "attention")), most=1.0),
        Constant("H100 matmul", ((h100, "matmul"),), most=1.0),
        Constant("H100 attention", ((h100, "attention"),), most=1.0),
        Constant("recompute", ((gpu, "recompute"),), most=1.0),
        Constant("several", ((gpu, "several"),), most=1.0),
        Constant("fused hidden, heads, mlp", tuple((fused, key) for key in ("hidden", "heads", "mlp"))),
        Constant("fused adapters", tuple((fused, key) for key in ("adapter_inputs", "adapter_outputs"))),
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
                    if after < best - 1e-5:
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
        errors = [abs(math.log(result(case).ratio)) for case in some]
    return sum(w * e for w, e in zip(weights, errors, strict=True)) / sum(weights)


def _kind(case: Case) -> tuple[str, ...]:
    run = case.run
    return run.source.split("-")[0], run.model, run.method, run.quantization, run.gpu, run.kernels
