"""Measures forgetting: rows of the general text through the model as it is now, and through its base."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from backend import constants
from backend.data.general import Part
from backend.data.packing import arrange
from backend.run.events import ForgettingMeasured
from backend.training import checks
from backend.training.batches import Batch, micro_batches
from backend.training.compiling import uncompiled
from backend.training.forgetting import interval, tokens
from backend.training.forgetting.kept import BaseRow, Row
from backend.training.forgetting.tokens import Kept, Predictions, TokenFigures
from backend.training.methods import Loaded
from backend.training.parallel.execution import Execution
from backend.training.parallel.ranks import ALONE
from backend.training.parallel.sharding import through_root
from backend.training.precision import autocast


class RowFigures(NamedTuple):
    """Sums over the target tokens of one row."""

    loss: float
    base_loss: float
    kl: float
    tokens: int


class Forgetting:
    """The general text of one run, and the base model that the current one is compared with."""

    def __init__(self, parts: tuple[Part, ...], loaded: Loaded, execution: Execution) -> None:
        self.parts = parts
        self._loaded = loaded
        self._base: dict[Row, BaseRow] | None = None
        self._has_adapters = execution.plan.method != "full"
        self._can_chunk = checks.can_chunk(loaded.network, execution)
        self._predictions = Predictions(loaded.network, can_chunk=self._can_chunk)

    @property
    def is_ready(self) -> bool:
        """The base model is there to compare with."""
        return self._has_adapters or self._base is not None

    @property
    def keeps_base(self) -> bool:
        """The base model's predictions have to be kept before training changes it."""
        return not self._has_adapters

    @property
    def base(self) -> dict[Row, BaseRow]:
        """What the base model predicted, if it is kept."""
        return self._base or {}

    def take_base(self, execution: Execution) -> None:
        """Run the whole general text through the model, which is not trained yet, and remember its predictions."""
        count = constants.forgetting().measure.kept_tokens

        def one(batch: Batch) -> tuple[Tensor, Kept]:
            return tokens.base_of(self._predictions, batch, count)

        found: dict[Row, BaseRow] = {}
        for rows, (loss, top) in self._passes(self._groups(execution, final=True), execution, one, lambda: False) or ():
            at = 0
            for row in rows:
                part = slice(at, at := at + self._targets(row))
                some = Kept(top.ids[part].cpu().clone(), top.log_probabilities[part].cpu().clone())
                found[row] = BaseRow(loss[part].cpu().clone(), some)
        self._base = {row: base for of_rank in execution.ranks.all_of(found) for row, base in of_rank.items()}

    def use_base(self, base: dict[Row, BaseRow] | None) -> None:
        """Compare with predictions that were kept before."""
        self._base = base

    def measure(
        self, step: int, execution: Execution, broken_off: Callable[[], bool], *, final: bool
    ) -> list[ForgettingMeasured] | None:
        """An event for each part, the same on all ranks; None if broken off.

        Measures a slice of each part, or all rows if `final`.
        """
        passes = self._passes(self._groups(execution, final=final), execution, None, broken_off)
        if passes is None:
            return None
        found = {row: figures for rows, taken in passes for row, figures in self._rows(rows, taken)}
        every = {row: figures for of_rank in execution.ranks.all_of(found) for row, figures in of_rank.items()}
        return [self._event(step, number, every, final=final) for number in range(len(self.parts))]

    def _groups(self, execution: Execution, *, final: bool) -> list[tuple[Row, ...]]:
        """The rows of each pass: as many as fit one sequence if the model can keep them apart."""
        plan, groups = execution.plan, list[tuple[Row, ...]]()
        length = min(plan.max_length, constants.forgetting().measure.length)
        for number, part in enumerate(self.parts):
            chosen = range(len(part.rows)) if final else part.slice()
            lengths = [len(part.rows[i][0]) for i in chosen]
            sequences = arrange(lengths, length) if plan.packing else [[i] for i in range(len(chosen))]
            groups += [tuple((number, chosen[i]) for i in sequence) for sequence in sequences]
        return groups

    @torch.no_grad()
    def _passes(
        self,
        groups: Sequence[tuple[Row, ...]],
        execution: Execution,
        one: Callable[[Batch], Any] | None,
        broken_off: Callable[[], bool],
    ) -> list[tuple[tuple[Row, ...], Any]] | None:
        """The results of `one` for this rank's share of `groups`; None if broken off. All ranks make as many passes."""
        ranks, network = execution.ranks, self._loaded.network
        own = groups[ranks.rank :: ranks.count]
        most = -(-len(groups) // ranks.count)
        found = []
        network.eval()
        try:
            with autocast(execution.plan, execution.device), uncompiled(execution.plan):
                for at in range(most):
                    if broken_off():
                        return None
                    rows = own[at] if at < len(own) else groups[0]
                    action: Any = one or self._compared(rows, execution.device)
                    run = through_root(network, action) if self._can_chunk else action
                    taken = run(self._batch(rows, execution))
                    found += [(rows, taken)] if at < len(own) else []
        finally:
            network.train()
        return found

    def _compared(self, rows: tuple[Row, ...], device: str) -> Callable[[Batch], Any]:
        if self._base is None:
            return lambda batch: tokens.against_adapters_off(self._predictions, self._loaded.network, batch)
        of_rows = [self._base[row] for row in rows]
        loss = torch.cat([base.loss for base in of_rows]).to(device)
        ids = torch.cat([base.kept.ids for base in of_rows]).to(device)
        top = Kept(ids, torch.cat([base.kept.log_probabilities for base in of_rows]).to(device))
        return lambda batch: tokens.against_kept(self._predictions, top, loss, batch)

    def _batch(self, rows: Iterable[Row], execution: Execution) -> Batch:
        alone = replace(execution, plan=replace(execution.plan, micro_batch=1), ranks=ALONE)
        (batch,) = micro_batches([self.parts[part].rows[number] for part, number in rows], alone)
        return batch

    def _rows(self, rows: tuple[Row, ...], taken: TokenFigures) -> Iterator[tuple[Row, RowFigures]]:
        values = torch.stack([x.double() for x in taken]).cpu()
        at = 0
        for row in rows:
            count = self._targets(row)
            loss, base_loss, kl = values[:, at : at + count].sum(dim=1).tolist()
            yield row, RowFigures(loss, base_loss, kl, count)
            at += count

    def _targets(self, row: Row) -> int:
        part, number = row
        return int(self.parts[part].rows[number][1][1:].sum())

    def _event(self, step: int, number: int, every: dict[Row, RowFigures], *, final: bool) -> ForgettingMeasured:
        part = self.parts[number]
        rows = sorted(row for row in every if row[0] == number)
        figures = [every[row] for row in rows]
        count = sum(x.tokens for x in figures)
        examples = np.array([part.examples[row] for _, row in rows])
        now, base = (np.array([getattr(x, name) for x in figures]) for name in ("loss", "base_loss"))
        low, high = interval.of_change(now, base, examples) or (None, None)
        return ForgettingMeasured(
            step=step,
            part=part.name,
            loss=float(now.sum()) / count,
            base_loss=float(base.sum()) / count,
            kl=sum(x.kl for x in figures) / count,
            low=low,
            high=high,
            examples=len(set(examples.tolist())),
            tokens=count,
            final=final,
        )
