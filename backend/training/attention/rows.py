"""`attention = varlen`: each packed row attends only to itself, and no mask of the whole sequence is ever made.

Registered with transformers' attention interface. On a GPU it is torch's own `varlen_attn` (flash kernels, Ampere and
later, torch 2.11 and later); on a CPU each row is computed by itself (segments.py). If no row bounds are given (padded
batches, sample answers with a cache), it is sdpa, with sdpa's masks.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module

from backend.training.attention import segments

NAME = "fttui_varlen"
"""The name in transformers' table of attention implementations."""
WIDEST_HEAD = 256
"""The widest attention head that flash kernels take."""


class NoBounds(Exception):
    """The model's code drops the row bounds, so packed rows would see each other; checks.py tries that out."""


_bounds_known: ContextVar[bool] = ContextVar("bounds_known", default=False)
_watched: ContextVar[list[int | None] | None] = ContextVar("watched", default=None)


@contextmanager
def watched() -> Iterator[list[int | None]]:
    """The sliding window of every call within, in order; None for a call without one."""
    seen: list[int | None] = []
    token = _watched.set(seen)
    try:
        yield seen
    finally:
        _watched.reset(token)


@contextmanager
def without_mask(*, known: bool) -> Iterator[None]:
    """Within, a forward pass makes no masks if the bounds of its rows are `known`."""
    token = _bounds_known.set(known)
    try:
        yield
    finally:
        _bounds_known.reset(token)


@cache
def register() -> None:
    """Tell transformers of it."""
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, _mask)


def has_kernel(device: str) -> bool:
    """Whether this box's torch and GPU have such a kernel; a CPU needs none."""
    if device == "cpu":
        return True
    takes = _arguments()
    return {"scale", "window_size"} <= takes and torch.version.hip is None and _is_ampere_or_later()


def _is_ampere_or_later() -> bool:
    return torch.cuda.get_device_capability() >= (8, 0)


@cache
def _arguments() -> frozenset[str]:
    """Parameter names of this torch's `varlen_attn`; none if it has no such function."""
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return frozenset()
    return frozenset(inspect.signature(varlen_attn).parameters)


def attend(
    module: Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """The function that transformers calls: takes (1, heads, tokens, width), returns (1, tokens, heads, width)."""
    starts, bounds = options.pop("cu_seq_lens_q", None), options.pop("row_bounds", None)
    seen = _watched.get()
    if seen is not None:
        seen.append(sliding_window)
    if attention_mask is not None or starts is None or dropout or not getattr(module, "is_causal", True):
        if attention_mask is None and _bounds_known.get():
            raise NoBounds(f"{type(module).__name__} does not hand on where rows begin")
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        result: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **_unrelated(options)
        )
        return result
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    query, key, value = _computed(query, key, value)
    if query.device.type == "cpu":
        return segments.attend(query, key, value, bounds or tuple(starts.tolist()), scale, sliding_window), None
    return _flash(query, key, value, starts, options["max_length_q"], scale, sliding_window), None


def _flash(
    query: Tensor, key: Tensor, value: Tensor, starts: Tensor, longest: int, scale: float, window: int | None
) -> Tensor:
    from torch.nn.attention.varlen import varlen_attn

    left = -1 if window is None else window - 1  # a token sees itself and `window` - 1 before it
    q, k, v = (x[0].transpose(0, 1) for x in (query, key, value))
    options: dict[str, Any] = {"scale": scale, "window_size": (left, 0)}
    if "enable_gqa" in _arguments():  # torch 2.11 takes grouped keys without it
        options["enable_gqa"] = query.shape[1] != key.shape[1]
    found = varlen_attn(q, k, v, starts, starts, longest, longest, **options)
    assert isinstance(found, Tensor)
    return found.unsqueeze(0)


def _computed(*tensors: Tensor) -> tuple[Tensor, ...]:
    """The tensors in autocast's dtype, to which sdpa would convert them too."""
    kind = tensors[0].device.type
    if not torch.is_autocast_enabled(kind):
        return tensors
    dtype = torch.get_autocast_dtype(kind)
    return tuple(x.to(dtype) for x in tensors)


def _mask(*arguments: Any, **options: Any) -> Tensor | None:
    """None if the bounds of the rows say all that a mask would."""
    from transformers.masking_utils import sdpa_mask

    if _bounds_known.get():
        return None
    found: Tensor | None = sdpa_mask(*arguments, **options)
    return found


def _unrelated(options: dict[str, Any]) -> dict[str, Any]:
    """The options without flash attention's arguments."""
    return {name: x for name, x in options.items() if not name.startswith(("cu_seq_lens", "max_length"))}
