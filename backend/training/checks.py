"""What a model supports, tested on a few tokens rather than looked up by the model's name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from backend.training import loss, token_rows
from backend.training.attention import rows as attention
from backend.training.batches import Batch, Row, micro_batches
from backend.training.network import Network
from backend.training.parallel.execution import Execution
from backend.training.parallel.ranks import ALONE
from backend.training.precision import autocast

LEAK = 1e-3
"""A leak across packed rows is more than rounding above this share of the change that a visible token makes. Recurrent
states and convolutions leak 0.001-0.2 (five families, 2026-11-24); other models leak nothing, or 1e-6 with experts."""

ROUNDING = 0.05
"""Mean difference of logits, relative to their mean size, that 16-bit rounding explains; a leaking row has 0.3."""


@torch.no_grad()
def packs(network: Network, execution: Execution) -> bool:
    """Whether rows that share a sequence don't see each other: the second row's logits don't depend on the first."""
    first, other, second = (
        _tokens(network, count, start, execution.device) for count, start in ((9, 1), (9, 50), (7, 20))
    )
    apart = torch.cat([torch.arange(9), torch.arange(7)]).unsqueeze(0).to(execution.device)
    in_sight = torch.arange(16).unsqueeze(0).to(execution.device)

    def change(positions: Tensor) -> Tensor:
        one, another = (_logits(network, torch.cat([x, second], dim=1), positions) for x in (first, other))
        return (one - another)[:, 9:].abs().mean()

    with _without_dropout(network), autocast(execution.plan, execution.device):
        try:
            return bool(change(apart) < LEAK * change(in_sight))
        except torch.OutOfMemoryError:
            raise
        except Exception:  # noqa: BLE001 - a family's code may raise anything for positions that start again
            return False


@torch.no_grad()
def takes_bounds(network: Network, execution: Execution) -> bool:
    """Whether `varlen` works: flat rows with bounds have the same logits as rows with a mask.

    A sliding window is longer than these few tokens: the test is that each block with a window passes it on.
    """
    both = (12, 9)
    ids = torch.cat([_tokens(network, count, 1 + count, execution.device) for count in both], dim=1)
    positions = torch.cat([torch.arange(count) for count in both])[None].to(execution.device)
    bounds = (0, both[0], sum(both))
    starts = torch.tensor(bounds, dtype=torch.int32, device=execution.device)
    batch = Batch(ids, positions, ids, ids, sum(both), 0, True, starts, bounds, max(both))
    if not _takes_bounds_in_training(network, batch, execution):
        return False
    with _without_dropout(network), autocast(execution.plan, execution.device):
        masked = _logits(network, ids, positions)
        with attention.watched() as windows:
            flat = _unmasked(network, batch)
        if flat is None:
            return False
    error = (flat - masked).abs().mean() / masked.abs().mean().clamp(min=1e-6)
    return bool(error < ROUNDING) and windows.count(None) == _without_window(network, len(windows))


@torch.no_grad()
def _takes_bounds_in_training(network: Network, batch: Batch, execution: Execution) -> bool:
    """Whether it also runs with dropout, for which GPT-2's attention needs a mask. Keeps torch's random state."""
    devices = [torch.cuda.current_device()] if execution.device == "cuda" else []
    with torch.random.fork_rng(devices), autocast(execution.plan, execution.device):
        return _unmasked(network, batch) is not None


def _unmasked(network: Network, batch: Batch) -> Tensor | None:
    """The logits of flat rows without a mask; None if the model's code can't do without one."""
    try:
        with attention.without_mask(known=True):
            return _logits(network, batch.input_ids, batch.position_ids, **batch.varlen())
    except torch.OutOfMemoryError:
        raise
    except Exception:  # noqa: BLE001 - code of a family that indexes the mask, or refuses bounds, may raise anything
        return None


def _without_window(network: Network, calls: int) -> int:
    """How many of a model's attention calls have no sliding window, by its configuration."""
    config = network.config.get_text_config()
    if not getattr(config, "sliding_window", None):
        return calls
    kinds = getattr(config, "layer_types", None) or ["sliding_attention"] * calls
    return sum(kind != "sliding_attention" for kind in kinds)


def can_chunk(network: Network, execution: Execution) -> bool:
    """Whether the chunked loss supports this model's head, and what the family does to its logits."""
    with _without_dropout(network), autocast(execution.plan, execution.device):
        return loss.can_chunk(network, some_batch(network, execution))


def some_batch(network: Network, execution: Execution) -> Batch:
    """A dozen tokens for a test, the same on every rank."""
    ids = _tokens(network, 12, 1, "cpu")[0].numpy().astype(np.int32)
    row: Row = (ids, np.ones(len(ids), np.bool_))
    return micro_batches([row], replace(execution, flat=False, ranks=ALONE))[0]


@contextmanager
def _without_dropout(network: Network) -> Iterator[None]:
    """In eval mode: dropout would look like a difference."""
    network.eval()
    try:
        yield
    finally:
        network.train()


def _tokens(network: Network, count: int, start: int, device: str) -> Tensor:
    spread = torch.arange(start, start + count) * 7919  # any ids will do, as long as they differ
    vocabulary: int = token_rows.plain(network.get_input_embeddings()).num_embeddings
    return (spread % vocabulary).unsqueeze(0).to(device)


def _logits(network: Network, ids: Tensor, positions: Tensor, **options: Any) -> Tensor:
    logits: Tensor = network(input_ids=ids, position_ids=positions, use_cache=False, **options).logits.float()
    return logits
