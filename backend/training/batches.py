"""From the rows of a step to tensors: packed or padded sequences, in micro-batches.

No attention mask is ever made. In a packed sequence the position ids restart with each row, which transformers turns
into block-diagonal attention; padding is at the end, where causal attention hides it from every row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from backend.data.packing import LENGTHS, PREDICTIONS, arrange, balance, filled
from backend.plan.plan import Plan
from backend.training.parallel.execution import Execution

IGNORED = -100
Row = tuple[npt.NDArray[np.int32], npt.NDArray[np.bool_]]
"""Token ids of one row, and which of them are target tokens."""


@dataclass(frozen=True)
class Batch:
    """One forward pass: `sequences` x `length` tokens, with positions to predict from and their targets."""

    input_ids: Tensor
    position_ids: Tensor
    predict: Tensor
    """Per sequence, the positions whose next token is a target; padded with 0."""
    targets: Tensor
    """The token after each position of `predict`; IGNORED at the padding of `predict`."""
    tokens: int
    """Tokens of the data, padding not counted."""
    scored: int
    """Target tokens, without the ignored ones."""
    packed: bool = False
    """Some sequence holds several rows."""
    starts: Tensor | None = None
    """The start of each row of a flat sequence and the end of the last, int32; None if sequences are not flat."""
    bounds: tuple[int, ...] = ()
    """The same numbers on the host, for a CPU."""
    longest: int = 0
    """Tokens of the longest row of a flat sequence."""

    def varlen(self) -> dict[str, Any]:
        """The arguments of flash attention, and of our own for a CPU, for the rows of a flat sequence."""
        if self.starts is None:
            return {}
        starts, longest = self.starts, self.longest
        return {
            "cu_seq_lens_q": starts,
            "cu_seq_lens_k": starts,
            "max_length_q": longest,
            "max_length_k": longest,
            **({"row_bounds": self.bounds} if self.bounds else {}),
        }


def micro_batches(rows: Sequence[Row], execution: Execution) -> list[Batch]:
    """Arrange this rank's share of `rows` into micro-batches of `plan.micro_batch` sequences; as many on every rank."""
    plan, device, ranks = execution.plan, execution.device, execution.ranks
    lengths = [len(ids) for ids, _ in rows]
    shares = [_arranged(share, lengths, plan) for share in balance(lengths, ranks.count)]
    mine, most = shares[ranks.rank], max(map(len, shares))
    parts = [[_Sequence.of([rows[i] for i in group]) for group in part] for part in mine]
    if len(parts) < most:
        parts += [[_unscored(rows[int(np.argmin(lengths))])]] * (most - len(parts))
    if execution.flat:
        return [_flat(_joined(part), device, plan.micro_batch * plan.max_length) for part in parts]
    return [_collate(part, device, plan.max_length) for part in parts]


def padded(rows: Sequence[Row], execution: Execution) -> Batch:
    """One batch with a sequence for each row, in this order."""
    pad_to = execution.plan.max_length if execution.device == "cpu" else 0
    return _collate([_Sequence.of([row]) for row in rows], execution.device, pad_to)


def _arranged(share: Sequence[int], lengths: Sequence[int], plan: Plan) -> list[list[list[int]]]:
    """The rows of each sequence of each micro-batch."""
    own = [lengths[i] for i in share]
    groups = arrange(own, plan.max_length) if plan.packing else [[i] for i in np.argsort(own, kind="stable")]
    named = [[share[i] for i in group] for group in groups]
    return [named[start : start + plan.micro_batch] for start in range(0, len(named), plan.micro_batch)]


@dataclass(frozen=True)
class _Sequence:
    """One row, or several concatenated."""

    ids: npt.NDArray[np.int64]
    positions: npt.NDArray[np.int64]
    predict: npt.NDArray[np.int64]

    @classmethod
    def of(cls, rows: Sequence[Row]) -> _Sequence:
        starts = np.cumsum([0, *(len(ids) for ids, _ in rows)])
        predict = [start + np.flatnonzero(scored[1:]) for start, (_, scored) in zip(starts, rows, strict=False)]
        return cls(
            ids=np.concatenate([ids for ids, _ in rows]).astype(np.int64),
            positions=np.concatenate([np.arange(len(ids)) for ids, _ in rows]),
            predict=np.concatenate(predict),
        )


def _unscored(row: Row) -> _Sequence:
    """A sequence without targets, for a rank that has fewer micro-batches: ranks wait for each other in each pass."""
    ids, scored = row
    return _Sequence.of([(ids, np.zeros_like(scored))])


def _joined(sequences: Sequence[_Sequence]) -> _Sequence:
    starts = np.cumsum([0, *(len(x.ids) for x in sequences)])
    return _Sequence(
        ids=np.concatenate([x.ids for x in sequences]),
        positions=np.concatenate([x.positions for x in sequences]),
        predict=np.concatenate([start + x.predict for start, x in zip(starts, sequences, strict=False)]),
    )


def _flat(sequence: _Sequence, device: str, most: int) -> Batch:
    """One flat sequence. Padding counts as the end of the last row, where causal attention hides it from all rows."""
    batch = _collate([sequence], device, most)
    starts = np.append(np.flatnonzero(sequence.positions == 0), batch.input_ids.shape[1]).astype(np.int32)
    bounds = tuple(starts.tolist()) if device == "cpu" else ()
    return replace(batch, starts=_on(starts, device), bounds=bounds, longest=int(np.diff(starts).max()))


def _collate(sequences: Sequence[_Sequence], device: str, most: int) -> Batch:
    """`most`: tokens that a sequence may have, padding included."""
    length = filled(max(len(x.ids) for x in sequences), LENGTHS, most)
    predicted = filled(max(1, *(len(x.predict) for x in sequences)), PREDICTIONS, most)
    shape = len(sequences), length
    ids, positions = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    predict = np.zeros((len(sequences), predicted), np.int64)
    targets = np.full((len(sequences), predicted), IGNORED, np.int64)
    for i, x in enumerate(sequences):
        size, count = len(x.ids), len(x.predict)
        ids[i, :size], positions[i, :size] = x.ids, x.positions
        positions[i, size:] = x.positions[-1] + 1 + np.arange(length - size)  # no restart: padding begins no row
        predict[i, :count], targets[i, :count] = x.predict, x.ids[x.predict + 1]
    return Batch(
        input_ids=_on(ids, device),
        position_ids=_on(positions, device),
        predict=_on(predict, device),
        targets=_on(targets, device),
        tokens=sum(len(x.ids) for x in sequences),
        scored=sum(len(x.predict) for x in sequences),
        packed=any(np.count_nonzero(x.positions == 0) > 1 for x in sequences),
    )


def _on(values: npt.NDArray[Any], device: str) -> Tensor:
    """As a tensor on `device`, copied from pinned memory: a copy from pageable memory waits for the work before it."""
    tensor = torch.from_numpy(values)
    return tensor if device == "cpu" else tensor.pin_memory().to(device, non_blocking=True)
