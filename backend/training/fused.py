"""`kernels = fused`: Liger's RMSNorm and SwiGLU instead of transformers' own, one module at a time.

A module is replaced only if Liger's kernel gives the module's own result on a few random numbers: families differ in
what they add to a norm's weight and where they round. Only instances are changed, never classes of transformers, so
that it can be undone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module

from backend.training.network import Network

TOLERANCE = 0.02
"""Relative difference that rounding to 16 bits explains."""
NORMS = ((0.0, "llama"), (1.0, "gemma"))
"""What is added to the weight, and Liger's name for the places where it rounds."""
Forward = Callable[..., Tensor]


class NotThere(Exception):
    """Fused kernels can't be used; the message says why."""


def patch(network: Network) -> int:
    """Replace what can be replaced; the number of modules. Called under the run's autocast, since modules are tried.

    Raises NotThere if nothing can be replaced, or Liger is missing.
    """
    try:
        norm, gate = _kernels()
    except (ImportError, RuntimeError) as error:
        raise NotThere(f"liger-kernel can't be loaded: {error}") from error
    count, known = 0, dict[tuple[Any, ...], Any]()
    for module, kind, make in _candidates(network, norm, gate):
        if kind not in known:
            known[kind] = _same(module, make)
        if known[kind] is not None:
            module.forward = known[kind](module)
            count += 1
    if not count:
        raise NotThere("no norm or MLP of this model is one that Liger has")
    return count


def restore(network: Network) -> None:
    """Put transformers' own modules back."""
    for module in network.modules():
        own = vars(module).get("forward")
        if isinstance(own, partial) and own.func in (_norm, _mlp):
            del module.forward


def _kernels() -> tuple[Any, Any]:
    """Liger's autograd functions of RMSNorm and of silu(gate) * up."""
    from liger_kernel.ops.rms_norm import LigerRMSNormFunction
    from liger_kernel.ops.swiglu import LigerSiLUMulFunction

    return LigerRMSNormFunction, LigerSiLUMulFunction


Make = Callable[[Module], Forward]


def _candidates(network: Network, norm: Any, gate: Any) -> Iterator[tuple[Module, tuple[Any, ...], list[Make]]]:
    """Each module with its kind (one module of a kind is tested) and the ways to replace it."""
    for module in network.modules():
        if type(module).__name__.endswith("RMSNorm") and isinstance(getattr(module, "weight", None), Tensor):
            ways = [partial(_bound_norm, norm, offset, casting) for offset, casting in NORMS]
            yield module, (type(module), _epsilon(module)), list(ways)
        elif all(hasattr(module, name) for name in ("gate_proj", "up_proj", "down_proj", "act_fn")):
            yield module, (type(module), type(module.act_fn)), [partial(_bound_mlp, gate)]


def _epsilon(module: Any) -> float:
    return float(getattr(module, "variance_epsilon", getattr(module, "eps", 1e-6)))


def _bound_norm(function: Any, offset: float, casting: str, module: Any) -> Forward:
    return partial(_norm, function, module.weight, _epsilon(module), offset, casting)


def _norm(function: Any, weight: Tensor, epsilon: float, offset: float, casting: str, hidden: Tensor) -> Tensor:
    found: Tensor = function.apply(hidden, weight, epsilon, offset, casting, False)
    return found


def _bound_mlp(function: Any, module: Any) -> Forward:
    return partial(_mlp, function, module.gate_proj, module.up_proj, module.down_proj)


def _mlp(function: Any, gate: Module, up: Module, down: Module, x: Tensor) -> Tensor:
    found: Tensor = down(function.apply(gate(x), up(x)))
    return found


@torch.no_grad()
def _same(module: Module, ways: list[Make]) -> Make | None:
    """The first way that gives what the module gives; None if none does."""
    weight = next(module.parameters())
    width = getattr(getattr(module, "gate_proj", None), "in_features", None) or weight.shape[-1]
    dtype = next((x.dtype for x in module.parameters() if x.is_floating_point()), torch.float32)
    draw = torch.Generator(device="cpu").manual_seed(0)
    x = torch.randn(1, 4, width, generator=draw).to(weight.device, dtype)
    wanted = _result(module, x)
    if wanted is None:
        return None
    for way in ways:
        found = _result(way(module), x)
        if found is not None and bool((found - wanted).norm() <= TOLERANCE * wanted.norm()):
            return way
    return None


def _result(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor | None:
    """The result in float32; None if the function fails: a kernel may raise anything for unsupported input."""
    try:
        return function(x).float()
    except Exception:  # noqa: BLE001
        return None
