"""The loss of a batch, summed over its target tokens; the step divides once, by their number in the whole batch.

Two ways to the same number. `whole` asks the model for the logits of the target positions only and keeps them for the
backward pass. `chunked` holds no more than a slice of the logits at a time and computes the gradients of each slice in
the forward pass. (Torch's own `linear_cross_entropy` does the same, but returns a 16-bit sum rounded to 16 bits: 1024.0
instead of 1028.8.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from backend.training import token_rows
from backend.training.attention.rows import without_mask
from backend.training.batches import IGNORED, Batch
from backend.training.network import Network, decoder, logits_of
from backend.training.packed_rows import packed_hint
from backend.training.parallel.sharding import through_root

Loss = Callable[[Batch], Tensor]
"""Summed negative log-likelihood of a batch's target tokens in nats, a float32 scalar on the device."""


def whole(network: Network) -> Loss:
    """Logits of all target positions at once: fastest if they fit."""

    def loss(batch: Batch) -> Tensor:
        with packed_hint(batch.packed), without_mask(known=batch.starts is not None):
            logits = logits_of(
                network,
                batch.predict,
                input_ids=batch.input_ids,
                position_ids=batch.position_ids,
                use_cache=False,  # transformers looks for packed rows only without a cache
                **batch.varlen(),
            )
        targets = batch.targets.flatten()
        return functional.cross_entropy(logits.flatten(0, 1).float(), targets, reduction="sum", ignore_index=IGNORED)

    return loss


def chunked(network: Network) -> Loss:
    """Logits of a few positions at a time, for heads that pass `can_chunk`."""
    blocks, head, config = decoder(network), network.get_output_embeddings(), network.config
    scale = logit_scale(config)
    cap = getattr(config, "final_logit_softcapping", None) or 0.0

    def loss(batch: Batch) -> Tensor:
        with packed_hint(batch.packed), without_mask(known=batch.starts is not None):
            hidden = blocks(
                input_ids=batch.input_ids, position_ids=batch.position_ids, use_cache=False, **batch.varlen()
            ).last_hidden_state
        kept = torch.take_along_dim(hidden, batch.predict[..., None], dim=1).flatten(0, 1)
        new = token_rows.of(head)
        weight, index, rows = (head.weight, None, None) if new is None else (token_rows.plain(head).weight, *new)
        if not torch.is_grad_enabled():  # else their gradients would be computed
            weight, rows = weight.detach(), None if rows is None else rows.detach()
        result: Tensor = _Chunked.apply(kept, weight, rows, index, batch.targets.flatten(), scale, cap)  # type: ignore[no-untyped-call]
        return result

    return through_root(network, loss)


def logit_scale(config: Any) -> float:
    """What a family multiplies its logits by (Cohere, Granite); 1 for the others."""
    return float(getattr(config, "logit_scale", None) or 1.0) / float(getattr(config, "logits_scaling", None) or 1.0)


@torch.no_grad()
def can_chunk(network: Network, batch: Batch) -> bool:
    """The head is a plain linear layer, and the chunked loss of `batch` equals the one of the model's own logits."""
    head = network.get_output_embeddings()
    plain = token_rows.plain(head)
    if type(plain) is not torch.nn.Linear or plain.bias is not None:
        return False
    model = whole(network)(batch)
    try:
        ours = chunked(network)(batch)
    except torch.OutOfMemoryError:
        raise
    except Exception:  # noqa: BLE001 - the blocks of some wrappers are called in another way, or have a head inside
        return False
    return bool(torch.isclose(ours, model, rtol=1e-2))


def chunk_rows(positions: int, hidden: int, vocabulary: int) -> int:
    """Positions in one chunk: about as much memory as `positions` hidden states take, and at least 128."""
    return max(128, -(-positions * hidden // vocabulary))


class _Chunked(torch.autograd.Function):
    """Sum of cross entropies of a linear head, with its gradients computed chunk by chunk in the forward pass.

    `rows`, if there are any, replace the rows of `weight` whose numbers are in `index`.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        rows: Tensor | None,
        index: Tensor | None,
        targets: Tensor,
        scale: float,
        cap: float,
    ) -> Tensor:
        compute = _compute_dtype(hidden)
        with torch.autocast(hidden.device.type, enabled=False):
            states, head = hidden.to(compute), weight.to(compute)
            new = None if rows is None else rows.to(compute)
            total = torch.zeros((), dtype=torch.float32, device=hidden.device)
            d_states = torch.zeros_like(states) if ctx.needs_input_grad[0] else None
            d_head = torch.zeros_like(weight) if ctx.needs_input_grad[1] else None
            d_rows = torch.zeros_like(rows) if rows is not None and ctx.needs_input_grad[2] else None
            size = chunk_rows(len(states), states.shape[1], len(head))
            for start in range(0, len(states), size):
                part = slice(start, start + size)
                raw = states[part] @ head.T
                if index is not None and new is not None:
                    raw.index_copy_(1, index, states[part] @ new.T)
                loss, d_logits = _loss_and_gradient(raw, targets[part], scale, cap)
                del raw
                total += loss
                slopes = d_logits.to(compute)
                del d_logits
                if index is not None and new is not None:
                    d_new = slopes[:, index]
                    slopes.index_fill_(1, index, 0)
                if d_states is not None:
                    d_states[part] = slopes @ head if new is None else slopes @ head + d_new @ new
                if d_head is not None:
                    d_head += slopes.T @ states[part]
                if d_rows is not None:
                    d_rows += d_new.T @ states[part]
                del slopes  # freed before the next chunk's logits are computed
        ctx.save_for_backward(d_states, d_head, d_rows)
        ctx.dtypes = hidden.dtype, weight.dtype, None if rows is None else rows.dtype
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        gradients = zip(ctx.saved_tensors, ctx.dtypes, strict=True)
        return *(None if x is None else (x * grad).to(dtype) for x, dtype in gradients), None, None, None, None


def _compute_dtype(hidden: Tensor) -> torch.dtype:
    kind = hidden.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else hidden.dtype


def _loss_and_gradient(raw: Tensor, targets: Tensor, scale: float, cap: float) -> tuple[Tensor, Tensor]:
    """Summed loss of one chunk, and its gradient with respect to the raw logits (n x vocabulary, float32)."""
    logits = raw.float() * scale
    if cap:
        logits = cap * torch.tanh(logits / cap)
    counts = (targets != IGNORED).float().unsqueeze(1)
    index = targets.clamp(min=0).unsqueeze(1)
    norms = torch.logsumexp(logits, dim=1, keepdim=True)
    loss = ((norms - logits.gather(1, index)) * counts).sum()
    d_cap = 1 - (logits / cap) ** 2 if cap else None
    gradient = logits.sub_(norms).exp_()  # in place from here on: the chunk's float32 logits are its peak
    gradient.scatter_add_(1, index, -torch.ones_like(norms))
    if d_cap is not None:
        gradient *= d_cap
    return loss, gradient.mul_(counts * scale)
