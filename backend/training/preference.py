"""Preference training: the losses of DPO and KTO, with the base model (adapters off) as the reference.

DPO (Rafailov et al. 2305.18290) compares two answers to one prompt; KTO (Ethayarajh et al. 2402.01306, equation 7)
takes single answers that are marked good or bad. Both look at how much more likely an answer has become than it was.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from backend.data.preferences import Preference
from backend.plan.plan import Plan
from backend.training import token_rows
from backend.training.batches import IGNORED, Batch, Row, padded
from backend.training.forgetting.tokens import adapters_off
from backend.training.loss import chunk_rows, logit_scale
from backend.training.network import Network, decoder, logits_of
from backend.training.packed_rows import packed_hint
from backend.training.parallel.execution import Execution
from backend.training.precision import autocast


@dataclass(frozen=True)
class PreferenceBatch:
    """One micro-batch: for DPO the better answers, then the worse ones; for KTO answers with their marks."""

    sequences: Batch
    scored: int
    """Preferences, by whose number in the whole effective batch the loss is divided."""
    tokens: int
    good: Tensor | None = None
    """KTO: 1 for a good answer, 0 for a bad one."""
    mismatched: Batch | None = None
    """KTO: each prompt with the answer of another row, which tell how far the model has moved on the whole; None if
    there is no other row."""
    counts: bool = True
    """False for a batch of a rank that has fewer than others: ranks make as many passes, and it adds nothing."""


def preference_batches(rows: Sequence[Preference], execution: Execution) -> list[PreferenceBatch]:
    """This rank's micro-batches of `plan.micro_batch` preferences, padded, shorter ones together.

    Every rank has equally many. The number of ranks does not change which row KTO compares a row with.
    """
    size, ranks = execution.plan.micro_batch, execution.ranks
    order = np.argsort([max(len(ids) for ids, _ in row.rows) for row in rows], kind="stable")
    # a row alone would be compared with itself: its reward would be 0 whatever was learned
    mismatched = [_mixed(rows[i].rows[0], rows[i - 1].rows[0]) for i in range(len(rows))] if len(rows) > 1 else []

    def batch(group: Sequence[int]) -> PreferenceBatch:
        return _batch([rows[i] for i in group], [mismatched[i] for i in group if mismatched], execution)

    own, most = order[ranks.rank :: ranks.count].tolist(), -(-len(rows) // ranks.count)
    made = [batch(own[start : start + size]) for start in range(0, len(own), size)]
    lacking = -(-most // size) - len(made)
    return made + [replace(batch(order[:1].tolist()), scored=0, tokens=0, counts=False)] * lacking


def _batch(rows: Sequence[Preference], mismatched: Sequence[Row], execution: Execution) -> PreferenceBatch:
    sequences = [row.rows[side] for side in range(len(rows[0].rows)) for row in rows]
    marks = [row.good for row in rows]
    is_marked = marks[0] is not None
    return PreferenceBatch(
        sequences=padded(sequences, execution),
        scored=len(rows),
        tokens=sum(len(ids) for ids, _ in sequences),
        good=torch.tensor([float(bool(x)) for x in marks], device=execution.device) if is_marked else None,
        mismatched=padded(mismatched, execution) if is_marked and mismatched else None,
    )


def _mixed(prompted: Row, answered: Row) -> Row:
    """The prompt of one row with the answer of another."""
    start, other = int(prompted[1].argmax()), int(answered[1].argmax())
    ids = np.concatenate([prompted[0][:start], answered[0][other:]])
    return ids, np.concatenate([prompted[1][:start], answered[1][other:]])


class PreferenceLoss:
    """The summed loss of a batch's preferences; it also keeps what evaluations report."""

    def __init__(self, network: Network, execution: Execution) -> None:
        self._network, self._execution = network, execution
        self._plan: Plan = execution.plan
        self._moved: Tensor | None = None
        self._gaps: list[Tensor] = []

    def begin(self, batches: Sequence[PreferenceBatch]) -> None:
        """Before the passes of an effective batch: KTO's estimate of how far the model has moved, over all of it."""
        self._moved = None
        mismatched = [batch.mismatched for batch in batches if batch.mismatched is not None and batch.counts]
        if not batches or batches[0].mismatched is None:
            return
        moved = torch.zeros(2, device=self._execution.device)
        with torch.no_grad(), autocast(self._plan, self._execution.device):
            for batch in mismatched:
                ratios = self._ratios(batch)
                moved += torch.stack([ratios.sum(), torch.full_like(ratios, 1).sum()])
        total, count = self._execution.ranks.sum(moved)
        self._moved = (total / count).clamp(min=0)

    def __call__(self, batch: PreferenceBatch) -> Tensor:
        """Summed over the preferences of a micro-batch, on the device."""
        gaps = self._gaps_of(batch)
        if not batch.counts:
            return gaps.sum() * 0.0
        if not self._network.training:
            self._gaps.append(gaps.detach())
        return -functional.logsigmoid(gaps).sum() if batch.good is None else (1 - torch.sigmoid(gaps)).sum()

    def _gaps_of(self, batch: PreferenceBatch) -> Tensor:
        """How far the reward of each preference is on the right side (negative: on the wrong one)."""
        ratios, beta = self._ratios(batch.sequences), self._plan.preference_beta
        if batch.good is None:
            better, worse = ratios.chunk(2)
            return beta * (better - worse)
        moved = torch.zeros((), device=ratios.device) if self._moved is None else self._moved
        return beta * (2 * batch.good - 1) * (ratios - moved)

    def rewards(self) -> tuple[float, float] | None:
        """Mean reward margin, and the share of preferences on the right side, since the last call; None without any.

        All ranks ask together. DPO: the reward of the better answer less that of the worse one. KTO: how far a good
        answer's reward is above what the model has moved on the whole, and a bad one's below it.
        """
        own, self._gaps = [float(x) for gaps in self._gaps for x in gaps], []
        every = [x for of_rank in self._execution.ranks.all_of(own) for x in of_rank]
        if not every:
            return None
        return math.fsum(every) / len(every), sum(x > 0 for x in every) / len(every)

    def _ratios(self, batch: Batch) -> Tensor:
        """Log-likelihood of each answer less the one that the base model gives it."""
        with torch.no_grad(), adapters_off(self._network):
            reference = log_likelihoods(self._network, batch, chunked=self._plan.chunked_loss)
        return log_likelihoods(self._network, batch, chunked=self._plan.chunked_loss) - reference


def log_likelihoods(network: Network, batch: Batch, *, chunked: bool) -> Tensor:
    """Log-likelihood of each sequence's target tokens, float32; `chunked` never holds the logits whole."""
    shape = batch.targets.shape
    inputs: dict[str, Any] = {"input_ids": batch.input_ids, "position_ids": batch.position_ids, "use_cache": False}
    targets = batch.targets.flatten()
    with packed_hint(False):
        if not chunked:
            logits = logits_of(network, batch.predict, **inputs)
            return _likelihood(logits.flatten(0, 1), targets).view(shape).sum(dim=1)
        hidden = decoder(network)(**inputs).last_hidden_state
    kept = torch.take_along_dim(hidden, batch.predict[..., None], dim=1).flatten(0, 1)
    parts = list(_in_chunks(network, kept, targets))
    return torch.cat(parts).view(shape).sum(dim=1)


def _in_chunks(network: Network, states: Tensor, targets: Tensor) -> Iterator[Tensor]:
    head, config = network.get_output_embeddings(), network.config
    cap = getattr(config, "final_logit_softcapping", None)

    def one(some: Tensor, of: Tensor) -> Tensor:
        logits = head(some).float() * logit_scale(config)
        return _likelihood(cap * torch.tanh(logits / cap) if cap else logits, of)

    vocabulary = token_rows.plain(network.get_input_embeddings()).num_embeddings
    size = chunk_rows(len(states), states.shape[1], vocabulary)
    for start in range(0, len(states), size):
        part = slice(start, start + size)
        result: Tensor = checkpoint(one, states[part], targets[part], use_reentrant=False)
        yield result


def _likelihood(logits: Tensor, targets: Tensor) -> Tensor:
    return -functional.cross_entropy(logits.float(), targets, reduction="none", ignore_index=IGNORED)
