"""Causal attention of packed rows on a CPU: plain batched products, one row after the other, with their own backward.

Torch's kernel for a CPU computes a dense mask's square, or takes twice as long for short rows. Here query heads that
share a key head are rows of one product, so that keys are never repeated; the probabilities are computed again in the
backward pass and not kept. Rows longer than `LONGEST` go to torch's kernel, which never holds their square.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

LONGEST = 512
"""Tokens of a row whose scores are held whole, for all heads at once."""

KEPT = 256
"""Masks that are kept for the next row of the same length: 64 MiB if all are of 256 tokens."""

_made: dict[tuple[int, int | None], Tensor] = {}

Bounds = tuple[int, ...]
"""Where each row of a flat sequence begins, and where the last one ends."""


def attend(query: Tensor, key: Tensor, value: Tensor, bounds: Bounds, scale: float, window: int | None) -> Tensor:
    """(1, heads, tokens, width) each, keys and values with their own number of heads, to (1, tokens, heads, width).

    `window`: a token sees itself and `window` - 1 tokens before it; None for all of its row.
    """
    found: Tensor = _Rows.apply(query, key, value, bounds, scale, window)  # type: ignore[no-untyped-call]
    return found


class _Rows(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, bounds: Bounds, scale: float, window: int | None
    ) -> Tensor:
        heads, tokens = query.shape[1:3]
        out = query.new_empty(1, tokens, heads, value.shape[-1])
        ctx.save_for_backward(query, key, value)
        ctx.settings = bounds, scale, window
        lengths = [end - start for start, end in pairwise(bounds)]
        with torch.autocast("cpu", enabled=False):
            for q, k, v, into in zip(*_parts(lengths, query, key, value, out.transpose(1, 2)), strict=True):
                row = _long if q.shape[1] > LONGEST else _short
                into.copy_(row(q, k, v, scale, window))
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value = ctx.saved_tensors
        bounds, scale, window = ctx.settings
        slopes = tuple(torch.empty_like(x) for x in (query, key, value))
        lengths = [end - start for start, end in pairwise(bounds)]
        parts = _parts(lengths, query, key, value, gradient.transpose(1, 2), *slopes)
        with torch.autocast("cpu", enabled=False):
            for q, k, v, above, *into in zip(*parts, strict=True):
                row = _long_backward if q.shape[1] > LONGEST else _short_backward
                for whole, part in zip(into, row(q, k, v, above, scale, window), strict=True):
                    whole.copy_(part)
        return *slopes, None, None, None


def _parts(lengths: list[int], *tensors: Tensor) -> list[tuple[Tensor, ...]]:
    """Each tensor (1, heads, tokens, width) in its rows."""
    return [torch.split(x[0], lengths, dim=1) for x in tensors]


def _short(query: Tensor, key: Tensor, value: Tensor, scale: float, window: int | None) -> Tensor:
    return torch.bmm(_probabilities(query, key, scale, window), value).view(*query.shape[:2], -1)


def _probabilities(query: Tensor, key: Tensor, scale: float, window: int | None) -> Tensor:
    """(key heads, queries of all their heads, keys), in the type of the inputs; the softmax is float32."""
    scores = torch.bmm(_grouped(query, len(key)), key.transpose(1, 2)).float()
    scores = torch.add(_bias(query.shape[1], window), scores.view(-1, *scores.shape[-1:] * 2), alpha=scale)
    found: Tensor = torch.softmax(scores, -1).to(query.dtype)
    return found.view(len(key), -1, query.shape[1])


def _short_backward(
    query: Tensor, key: Tensor, value: Tensor, above: Tensor, scale: float, window: int | None
) -> tuple[Tensor, Tensor, Tensor]:
    probabilities, above = _probabilities(query, key, scale, window), _grouped(above, len(key))
    d_value = torch.bmm(probabilities.transpose(1, 2), above)
    slopes = torch.bmm(above, value.transpose(1, 2)).float()
    wide = probabilities.float()
    slopes = torch.ops.aten._softmax_backward_data(slopes, wide, -1, torch.float32).mul_(scale).to(query.dtype)
    d_query = torch.bmm(slopes, key).view_as(query)
    return d_query, torch.bmm(slopes.transpose(1, 2), _grouped(query, len(key))), d_value


def _grouped(heads: Tensor, groups: int) -> Tensor:
    """(heads, tokens, width) to (key heads, tokens of all heads that share one, width)."""
    return heads.reshape(groups, -1, heads.shape[-1])


def _bias(tokens: int, window: int | None) -> Tensor:
    """0 for what a token sees, minus infinity for what it does not: (1, tokens, tokens). Fake tensors are not kept."""
    found = _made.get((tokens, window))
    if found is None:
        found = _made_bias(tokens, window)
        if type(found) is Tensor:
            _made[tokens, window] = found
            while len(_made) > KEPT:
                del _made[next(iter(_made))]
    return found


def _made_bias(tokens: int, window: int | None) -> Tensor:
    distance = torch.arange(tokens)[:, None] - torch.arange(tokens)
    sees = (distance >= 0) & (distance < (window or tokens))
    return torch.zeros(tokens, tokens).masked_fill_(~sees, -torch.inf)[None]


def _long(query: Tensor, key: Tensor, value: Tensor, scale: float, window: int | None) -> Tensor:
    """Torch's kernel: causal, or with a mask if the window is shorter than the row."""
    tokens = query.shape[1]
    slides = window is not None and window < tokens
    mask = _bias(tokens, window).to(query.dtype) if slides else None
    groups = len(query) // len(key)
    if groups > 1:
        key, value = (x.repeat_interleave(groups, dim=0) for x in (key, value))
    found: Tensor = scaled_dot_product_attention(
        query[None], key[None], value[None], attn_mask=mask, is_causal=mask is None, scale=scale
    )
    return found[0]


def _long_backward(
    query: Tensor, key: Tensor, value: Tensor, above: Tensor, scale: float, window: int | None
) -> tuple[Tensor, ...]:
    """The gradients, by computing the row again with autograd."""
    with torch.enable_grad():
        q, k, v = (x.detach().requires_grad_() for x in (query, key, value))
        out = _long(q, k, v, scale, window)
    return torch.autograd.grad(out, (q, k, v), above)
