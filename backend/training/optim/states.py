"""Optimizer states: created all at once or not at all, paged again after a resume, and set to given values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer

PAGED = ("state1", "state2")
"""What bitsandbytes keeps in paged memory."""
BLOCK = 256
"""Elements of an 8-bit state that share a scale (bitsandbytes)."""
Values = dict[str, Any]
"""States of one parameter by name: float32 tensors of its shape, and numbers such as `step`."""


@contextmanager
def all_or_none(optimizer: Optimizer) -> Iterator[None]:
    """Create missing states, then step within; if either fails, no incomplete state is left behind.

    Optimizers create a parameter's states when they come to it, and take existing ones as complete. A first step that
    runs out of memory would leave some incomplete, and parameters that the repeated step would update twice.
    """
    known = set(optimizer.state)
    try:
        _make(optimizer)
        yield
    except Exception:
        for parameter in set(optimizer.state) - known:
            del optimizer.state[parameter]
        raise


def page_again(optimizer: Optimizer) -> None:
    """Put the states of a paged optimizer back into paged memory: a checkpoint holds plain tensors."""
    if not getattr(optimizer, "is_paged", False):
        return
    for parameter, state in optimizer.state.items():
        for name in PAGED:
            if name in state:
                paged = optimizer.get_state_buffer(parameter, dtype=state[name].dtype)  # type: ignore[attr-defined]
                state[name] = paged.copy_(state[name])


def widened(saved: Mapping[str, Any]) -> Values:
    """The saved states of one parameter in float32: bitsandbytes keeps them in 8 bits, in blocks of one scale."""
    nested = [value if isinstance(value, dict) else {name: value} for name, value in saved.items()]
    flat = {name: value for part in nested for name, value in part.items()}
    return {name: _wide(name, flat) for name in flat if not name.startswith(("qmap", "absmax"))}


def adopt(optimizer: Optimizer, values_of: Callable[[Parameter], Values]) -> None:
    """Give every parameter states with these values; those that get none have not been stepped yet."""
    for number, group in enumerate(optimizer.param_groups):
        for place, parameter in enumerate(group["params"]):
            if values := values_of(parameter):
                _make_one(optimizer, number, place)
                _fill(optimizer.state[parameter], values)


def _wide(name: str, saved: Mapping[str, Any]) -> Any:
    value, scales = saved[name], saved.get(f"absmax{name[-1]}")
    if scales is None:
        return value
    from bitsandbytes import functional

    return functional.dequantize_blockwise(value, absmax=scales, code=saved[f"qmap{name[-1]}"], blocksize=BLOCK)


def _fill(state: Values, values: Values) -> None:
    for name, value in values.items():
        scales, there = state.get(f"absmax{name[-1]}"), state[name]
        if scales is not None and there.dtype == torch.uint8:
            _quantize(value.to(there.device), there, scales, state[f"qmap{name[-1]}"])
        elif isinstance(there, Tensor):
            there.copy_(value)
        else:
            state[name] = value


def _quantize(value: Tensor, into: Tensor, scales: Tensor, code: Tensor) -> None:
    from bitsandbytes import functional

    quantized, made = functional.quantize_blockwise(value, code=code, blocksize=BLOCK)
    into.copy_(quantized)
    scales.copy_(made.absmax)


def _make(optimizer: Optimizer) -> None:
    """AdamW's as torch creates them when fused, bitsandbytes' by its own function; Adafactor's come with its step."""
    for number, group in enumerate(optimizer.param_groups):
        for place, parameter in enumerate(group["params"]):
            if parameter.grad is not None and not optimizer.state.get(parameter):
                _make_one(optimizer, number, place)


def _make_one(optimizer: Optimizer, number: int, place: int) -> None:
    """The states of the parameter at `place` of the group of this `number`; nothing for Adafactor."""
    group = optimizer.param_groups[number]
    parameter = group["params"][place]
    if isinstance(optimizer, torch.optim.AdamW):
        optimizer.state[parameter] = _adamw(parameter)
    elif hasattr(optimizer, "init_state"):
        optimizer.init_state(group, parameter, number, place)


def _adamw(parameter: Tensor) -> dict[str, Any]:
    return {
        "step": torch.zeros((), dtype=torch.float32, device=parameter.device),
        "exp_avg": torch.zeros_like(parameter, memory_format=torch.preserve_format),
        "exp_avg_sq": torch.zeros_like(parameter, memory_format=torch.preserve_format),
    }
