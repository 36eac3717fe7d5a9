"""Liger's own kernels without a GPU, by Triton's interpreter: losses and gradients with and without them.

FAMILY ...     prints one JSON object: family -> method -> modules replaced, relative error of the loss, of the gradient
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ["TRITON_INTERPRET"] = "1"  # read when Triton is loaded

import numpy as np
import torch
import triton.language as tl
from liger_kernel.ops import rms_norm, rope
from torch import Tensor
from triton.runtime import interpreter

from backend.answers import METHODS, Method
from backend.plan.plan import Plan
from backend.training import fused, methods
from backend.training.batches import micro_batches
from backend.training.loss import whole
from backend.training.parallel.execution import Execution
from backend.training.precision import autocast
from tests.backend.training.families import network
from tests.backend.training.helpers import random_rows


def main(families: list[str]) -> dict[str, Any]:
    """All methods of each family, and rotary positions by themselves."""
    _let_it_interpret()
    found: dict[str, Any] = {family: {method: _compared(family, method) for method in METHODS} for family in families}
    return {**found, "rope": _rotated()}


def _let_it_interpret() -> None:
    """What Triton's interpreter lacks for them: Python floats with a type, and CUDA's own rsqrt."""
    convert = interpreter._implicit_cvt

    def with_floats(value: Any) -> Any:
        if not isinstance(value, float):
            return convert(value)
        return tl.tensor(interpreter.TensorHandle(np.array([value], dtype=np.float32), tl.float32), tl.float32)

    interpreter._implicit_cvt = with_floats
    rms_norm.rsqrt = lambda x: tl.rsqrt(x)  # looked up at each call: the interpreter replaces it while a kernel runs


def _compared(family: str, method: Method) -> list[float]:
    quantization: Any = "nf4" if method == "qlora" else "none"
    plan = Plan(method=method, quantization=quantization, precision="float32", rank=4, max_length=60)
    execution = Execution(plan, "cpu")
    with tempfile.TemporaryDirectory() as folder:
        model = network(family)
        for name, parameter in model.named_parameters():
            if "norm" in name:
                torch.nn.init.normal_(parameter, mean=1.0, std=0.3)
        model.save_pretrained(folder)
        loaded = methods.load(Path(folder), "base", execution)
    for name, parameter in loaded.trainable().items():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    loss, gradient = _pass(loaded, execution)
    with autocast(plan, "cpu"):
        count = fused.patch(loaded.network)
    own_loss, own_gradient = _pass(loaded, execution)
    return [count, abs(float(own_loss / loss) - 1), float((own_gradient - gradient).norm() / gradient.norm())]


def _pass(loaded: methods.Loaded, execution: Execution) -> tuple[Tensor, Tensor]:
    (batch,) = micro_batches(random_rows(2, longest=20), execution)
    total = whole(loaded.network)(batch)
    slopes = torch.autograd.grad(total, list(loaded.trainable().values()))
    return total.detach(), torch.cat([slope.flatten() for slope in slopes])


def _rotated() -> float:
    """Relative error of Liger's rotary positions against transformers', forward and backward."""
    from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

    torch.manual_seed(0)
    query, key = (torch.randn(1, heads, 7, 16, requires_grad=True) for heads in (4, 2))
    angles = torch.arange(7)[:, None] * torch.rand(8)
    cosine, sine = (f(torch.cat((angles, angles), -1))[None] for f in (torch.cos, torch.sin))
    results = []
    for rotated in (
        rope.LigerRopeFunction.apply(query * 1, key * 1, cosine, sine),
        apply_rotary_pos_emb(query, key, cosine, sine),
    ):
        weighted = sum((x * torch.arange(x.numel()).view_as(x)).sum() for x in rotated)
        results.append(torch.cat([x.flatten() for x in (*rotated, *torch.autograd.grad(weighted, (query, key)))]))
    return float((results[0] - results[1]).norm() / results[1].norm())


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1:])))
