"""Kernels that are launched once after loading, and the memory that the trainer leaves for them."""

from __future__ import annotations

from typing import Any

import bitsandbytes
import pytest
import torch

from backend.answers import Method
from backend.plan.plan import Plan
from backend.training import kernels
from backend.training.parallel.execution import Execution
from tests.backend.training.helpers import plan

KEPT = 128 * 2**20


class Launched:
    """Notes which kinds of bitsandbytes' kernels were launched."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.kinds: list[str] = []
        for place, name in (
            (bitsandbytes.functional, "quantize_4bit"),
            (bitsandbytes.functional, "dequantize_4bit"),
            (bitsandbytes, "matmul_4bit"),
            (bitsandbytes.optim.AdamW8bit, "step"),
        ):
            monkeypatch.setattr(place, name, self._noting(name, getattr(place, name)))

    def _noting(self, name: str, real: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            self.kinds.append(name)
            return real(*arguments, **options)

        return call


@pytest.mark.parametrize(
    ("method", "changes", "expected"),
    [
        ("qlora", {}, ["quantize_4bit", "dequantize_4bit", "matmul_4bit", "matmul_4bit"]),
        ("full", {"optimizer": "adamw_8bit"}, ["step"]),
        ("lora", {}, []),
    ],
)
def test_each_kind_is_launched_once(
    method: Method, changes: dict[str, Any], expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    launched = Launched(monkeypatch)
    kernels.run_once(plan(method, **changes), "cpu")
    assert [kind for kind in launched.kinds if kind in expected][: len(expected)] == expected
    assert bool(launched.kinds) is bool(expected)


def test_a_part_of_the_card_is_kept_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 24 GiB another program holds 4, this run 10: torch may have 20 GiB without the part that is kept free."""
    gib, shares = 2**30, list[float]()
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (10 * gib, 24 * gib))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda: 10 * gib)
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", shares.append)
    monkeypatch.setattr(kernels, "run_once", lambda *_: None)
    kernels.prepare(Execution(Plan(), "cuda"))
    assert shares == [pytest.approx((20 * gib - KEPT) / (24 * gib))]
    kernels.prepare(Execution(Plan(), "cpu"))
    assert len(shares) == 1
    kernels.release()
    assert len(shares) == 1, "CUDA is not started for it"
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    kernels.release()
    assert shares[-1] == 1.0
