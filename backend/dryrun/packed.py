"""NF4 layers for the dry run: bitsandbytes quantises values, and fake tensors have none.

A stand-in keeps what a quantised layer keeps (packed weights, 8-bit scales of 64, float32 scales of 256 of those) and
does what bitsandbytes 0.50 does: one product forward from the packed weights, one dequantised weight backward. It is a
`Linear4bit`, so that peft wraps it as it wraps the real one.
"""

from __future__ import annotations

from typing import Any

import bitsandbytes
import torch
from torch import Tensor
from torch.nn import Linear, Module, Parameter

BLOCK = 64
NESTED_BLOCK = 256


def pack(network: Module, compute: torch.dtype) -> None:
    """Replace the linear layers that transformers would quantise: all but the head."""
    head = network.get_output_embeddings()  # type: ignore[operator]
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, Linear) and child is not head:
                setattr(module, name, PackedLinear(child, compute))
    network.is_loaded_in_4bit = True  # type: ignore[assignment]


class PackedLinear(bitsandbytes.nn.Linear4bit):  # type: ignore[misc]
    """A quantised linear layer without values."""

    def __init__(self, original: Linear, compute: torch.dtype) -> None:
        Module.__init__(self)
        self.in_features, self.out_features = original.in_features, original.out_features
        self.compute_dtype = compute
        self.bias = original.bias
        count, device = original.weight.numel(), original.weight.device
        self.weight = Parameter(torch.empty(count // 2, 1, dtype=torch.uint8, device=device), requires_grad=False)
        for name, value in {"compress_statistics": True, "quant_type": "nf4"}.items():
            setattr(self.weight, name, value)  # peft reads them off the weight
        blocks = -(-count // BLOCK)
        self.register_buffer("absmax", torch.empty(blocks, dtype=torch.uint8, device=device))
        self.register_buffer("nested", torch.empty(-(-blocks // NESTED_BLOCK), dtype=torch.float32, device=device))

    @property
    def W_q(self) -> Tensor:  # noqa: N802 (peft's name: a layer that has it is asked for `dequantize`, which DoRA needs)
        """The packed weights."""
        packed: Tensor = self.weight
        return packed

    def dequantize(self) -> Tensor:
        """The weight in the compute type."""
        count = self.in_features * self.out_features
        scales = torch.empty(-(-count // BLOCK), dtype=torch.float32, device=self.weight.device)
        weight = torch.empty(self.out_features, self.in_features, dtype=self.compute_dtype, device=self.weight.device)
        del scales
        return weight

    def forward(self, x: Tensor) -> Tensor:
        """Inputs (..., in_features) to (..., out_features), in the inputs' type."""
        result: Tensor = _Product.apply(x.to(self.compute_dtype), self.weight, self.out_features)  # type: ignore[no-untyped-call]
        return (result if self.bias is None else result + self.bias.to(result.dtype)).to(x.dtype)


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, packed: Tensor, outputs: int) -> Tensor:
        ctx.packed, ctx.outputs, ctx.inputs = packed, outputs, x.shape[-1]
        return x.new_empty(*x.shape[:-1], outputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        scales = torch.empty(ctx.packed.numel() * 2 // BLOCK, dtype=torch.float32, device=gradient.device)
        weight = gradient.new_empty(ctx.outputs, ctx.inputs)
        del scales
        return gradient @ weight, None, None
