"""Shapes, devices and data for planner tests, written out so that a test depends on no catalogue."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from backend.data.report import DataReport
from backend.model.info import ModelInfo
from backend.model.shape import Linear, ModelShape
from backend.planner.device import Device, Price

GIB = 2**30


def llama(hidden: int, layers: int, heads: int, kv_heads: int, inner: int, vocab: int, tied: bool) -> ModelShape:
    """A Llama of these sizes."""
    head = hidden // heads
    linears = (
        Linear("q_proj", hidden, hidden),
        Linear("k_proj", hidden, kv_heads * head),
        Linear("v_proj", hidden, kv_heads * head),
        Linear("o_proj", hidden, hidden),
        Linear("gate_proj", hidden, inner),
        Linear("up_proj", hidden, inner),
        Linear("down_proj", inner, hidden),
    )
    norms = (2 * layers + 1) * hidden
    return ModelShape(
        f"llama-{hidden}", "llama", hidden, layers, heads, kv_heads, head, inner, vocab, tied, 8192, linears, norms
    )


LLAMA_8B = llama(4096, 32, 32, 8, 14336, 128256, tied=False)
LLAMA_1B = llama(2048, 16, 32, 8, 8192, 128256, tied=True)
LLAMA_70B = llama(8192, 80, 64, 8, 28672, 128256, tied=False)


def with_layers(shape: ModelShape, layers: int) -> ModelShape:
    """The same shape with another depth."""
    return replace(shape, layers=layers, norm_parameters=(2 * layers + 1) * shape.hidden)


def model(shape: ModelShape = LLAMA_8B, **changes: Any) -> ModelInfo:
    """A model known by its size only."""
    info = ModelInfo("a-model", "size", shape, None, False, 2 * shape.parameters, 0, None)
    return replace(info, **changes)


def rows(count: int, tokens: int = 400, **changes: Any) -> DataReport:
    """`count` rows of `tokens` tokens each, half of them target tokens."""
    lengths = np.full(count, tokens, dtype=np.int64)
    report = DataReport("rows.jsonl", "prompt-completion", {}, (), lengths, lengths // 2, lengths - lengths // 2)
    return replace(report, **changes)


def gpu(
    name: str,
    gib: float,
    tflops: float,
    gb_per_second: float,
    capability: tuple[int, int],
    price: float | None,
    **changes: Any,
) -> Device:
    """A GPU that is not here, all of it free."""
    size = int(gib * GIB)
    cost = Price(price / 2, price, price * 2, "test") if price is not None else None
    device = Device("cuda", name, 1, size, size, tflops * 1e12, gb_per_second * 1e9, True, capability, cost, False)
    return replace(device, **changes)


RTX_4090 = gpu("RTX 4090", 23.5, 165.2, 1008, (8, 9), 0.45)
T4 = replace(gpu("T4", 14.56, 65, 320, (7, 5), 0.59), bf16=False)
A100_40 = gpu("A100 SXM 40GB", 39.5, 312, 1555, (8, 0), 1.0)
A100_80 = gpu("A100 SXM 80GB", 79.25, 312, 2039, (8, 0), 1.39)
H100 = gpu("H100 SXM 80GB", 79.18, 989, 3350, (9, 0), 2.95)
H200 = gpu("H200 SXM 141GB", 139.8, 989, 4800, (9, 0), 3.59)
CPU = Device("cpu", "CPU", 1, 20 * GIB, 20 * GIB, 2e11, 0, True, None, None, True)
