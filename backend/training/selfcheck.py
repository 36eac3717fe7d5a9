"""A real 4-bit layer, forward and backward, on this box's device. Run as a module, it prints JSON."""

from __future__ import annotations

import importlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    import torch

SIZE = 256
TOLERANCE = 0.03
"""Relative error that rounding to 16 bits explains; wrong gradients have one of about 1."""


@dataclass(frozen=True)
class FourBit:
    """How far a 4-bit layer is from the same weights dequantised."""

    device: str
    """`cpu`, or the GPU's name."""
    dtype: str
    """The compute type."""
    output_error: float
    """Norm of the difference over the norm of the reference."""
    gradient_error: float
    """The same for the gradient that reaches the layer's input, after an evaluation pass."""
    seconds: float
    """The check itself, without the imports."""
    no_cuda: str = ""
    """Why a torch with CUDA can't use a GPU here, in torch's words; empty if it can, and for one without CUDA."""

    @property
    def exact(self) -> bool:
        """Both errors are no more than rounding."""
        return self.output_error < TOLERANCE and self.gradient_error < TOLERANCE


def four_bit() -> FourBit:
    """Run an NF4 layer with double quantisation as QLoRA does and compare it with its dequantised weights.

    An evaluation pass comes first: on some CPUs it makes bitsandbytes repack the layer, after which its gradients
    are wrong unless the fast path is switched off, as the trainer does.
    """
    import torch
    from bitsandbytes.functional import dequantize_4bit
    from bitsandbytes.nn import Linear4bit

    start = time.perf_counter()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    bf16 = device.type == "cpu" or torch.cuda.is_bf16_supported(including_emulation=False)
    dtype = torch.bfloat16 if bf16 else torch.float16
    torch.manual_seed(0)
    layer = Linear4bit(SIZE, SIZE, bias=False, compute_dtype=dtype, compress_statistics=True, quant_type="nf4")
    layer.support_avx512bf16_for_cpu = False
    layer = layer.to(device)
    weight = dequantize_4bit(layer.weight.data, layer.weight.quant_state).to(dtype).float()
    inputs = torch.randn(8, SIZE, device=device, dtype=dtype, requires_grad=True)
    with torch.no_grad():
        layer.eval()(inputs.detach())
    outputs = layer.train()(inputs)
    upstream = torch.randn_like(outputs)
    outputs.backward(upstream)
    gradient = torch.zeros_like(inputs) if inputs.grad is None else inputs.grad  # no gradient: an error of 1
    return FourBit(
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        dtype=str(dtype).removeprefix("torch."),
        output_error=_relative(outputs.detach().float(), inputs.detach().float() @ weight.T),
        gradient_error=_relative(gradient.float(), upstream.float() @ weight),
        seconds=round(time.perf_counter() - start, 3),
        no_cuda=_no_cuda() if device.type == "cpu" and torch.version.cuda else "",
    )


def _no_cuda() -> str:
    import torch

    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
    except (RuntimeError, AssertionError) as error:
        return str(error).partition("\n")[0]
    return ""


def _relative(got: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((got - wanted).norm() / wanted.norm())


if __name__ == "__main__":
    importlib.import_module("backend.training.train")  # what is missing for the trainer itself is reported here too
    print(msgspec.json.encode(four_bit()).decode())
