"""What is in the data: counts, lengths, what a `max_length` cuts off, and the first row as the model will see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import ceil

import numpy as np
import numpy.typing as npt

from backend.data.constants import constants
from backend.data.finding import SHOWN_ROWS, Finding
from backend.data.split import count

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Segment:
    """A piece of the first row as the model will see it."""

    text: str
    scored: bool
    """These tokens are in the loss."""


@dataclass(frozen=True)
class Cut:
    """The data under one `max_length`."""

    rows: int
    """Rows that are left: those with a target token; a document counts as its pieces."""
    truncated_rows: int
    tokens: int
    scored_tokens: int
    unscored_rows: int
    """Rows that have no scored token left."""
    row_of_a_token: float
    """Length of the row that a token belongs to, mean over the tokens: longer than the mean row; 0 without rows."""
    pair_tokens: int = 0
    """dpo: tokens of both answers, each with its prompt; 0 if rows have one answer."""


@dataclass(frozen=True)
class DataReport:
    """Rows of one data source, measured. Arrays have one entry a usable row."""

    reference: str
    """What the user typed."""
    format: str
    """alpaca, sharegpt, messages, prompt-completion, text, or `none` (sizes only)."""
    mapping: Mapping[str, str]
    """role -> column, as detected or as the user said."""
    columns: tuple[str, ...]
    row_tokens: Counts
    """Tokens of each row, template included."""
    row_scored_tokens: Counts
    """Target tokens of each row."""
    row_prompt_tokens: Counts
    """Tokens before the first target; a cut must be longer than this to leave any of the answer."""
    empty_rows: int = 0
    duplicate_rows: int = 0
    exact: bool = True
    """Counted with the model's own tokenizer and template; False: estimated from the text's length."""
    preview: tuple[Segment, ...] = ()
    findings: tuple[Finding, ...] = ()
    """What would waste a run, what to look at, and what was chosen or assumed; the most severe first."""
    source_rows: int = 0
    """All rows of the data, the unusable ones included; 0: as many as there are usable ones."""
    refused_rows: int = 0
    """Rows that are not used: empty, refused by the chat template, or without a target token."""
    held_out_rows: int = 0
    """Rows of a separate validation split, which is evaluated on; 0: some of these rows are held out instead."""
    fingerprint: str = ""
    """Hash of the rows' content."""
    files: tuple[str, ...] = field(default=())
    row_numbers: Counts = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    """The data's row, counted from 0, of each entry of the arrays above; empty if the data was read in part."""
    unused_columns: tuple[str, ...] = ()
    """Columns that play no part in any of the data's layouts."""
    row_shorter_tokens: Counts | None = None
    """dpo: tokens of each row with the shorter of its two answers, `row_tokens` being those with the longer one."""
    objectives: tuple[str, ...] = ("sft", "dpo", "kto")
    """What the rows can be trained with; everything if only their sizes are known."""

    @property
    def rows(self) -> int:
        """Usable rows (empty ones left out)."""
        return len(self.row_tokens)

    @property
    def all_rows(self) -> int:
        """Rows of the data, whether they can be used or not."""
        return self.source_rows or self.rows

    @property
    def used_rows(self) -> int:
        """Rows that are trained on or evaluated with."""
        return self.all_rows - self.refused_rows

    @property
    def problems(self) -> tuple[str, ...]:
        """Sentences about what would waste a run, or should be looked at before it starts."""
        return tuple(x.text for x in self.findings if x.severity != "notes")

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences about what was chosen or assumed: files, a stand-in for a missing chat template, a sample."""
        return tuple(x.text for x in self.findings if x.severity == "notes")

    @property
    def tokens(self) -> int:
        """Tokens of all rows, before any cut."""
        return int(self.row_tokens.sum())

    @property
    def scored_tokens(self) -> int:
        """Target tokens of all rows, before any cut."""
        return int(self.row_scored_tokens.sum())

    @cached_property
    def scored_share(self) -> float:
        """Share of a row's tokens that are targets, at the 90th percentile of rows; 1 without rows."""
        return float(np.percentile(self.row_scored_tokens / self.row_tokens, 90)) if self.rows else 1.0

    def numbers_of(self, entries: npt.NDArray[np.bool_]) -> tuple[int, ...]:
        """Numbers of the first rows among these entries, for a finding; none if they are not known."""
        if not len(self.row_numbers):
            return ()
        return tuple(dict.fromkeys(self.row_numbers[np.flatnonzero(entries)].tolist()))[:SHOWN_ROWS]

    def split(self, max_length: int, eval_fraction: float) -> tuple[int, int]:
        """Numbers of rows to train on and to evaluate on; the latter are of the validation split if there is one."""
        rows = self.cut(max_length).rows
        if self.held_out_rows and eval_fraction > 0:
            return rows, min(self.held_out_rows, constants().held_out_rows)
        held_out = count(rows, eval_fraction)
        return rows - held_out, held_out

    def percentile(self, q: float) -> int:
        """The length in tokens that q percent of the rows do not exceed; 0 without rows."""
        return int(self._sorted_tokens[ceil(round(q / 100 * (self.rows - 1), 9))]) if self.rows else 0

    def cut(self, max_length: int) -> Cut:
        """What stays of the data when rows are cut after `max_length` tokens. Documents are divided instead.

        Target tokens are taken to follow the prompt, as in single-turn rows; an estimate for multi-turn ones.
        """
        if max_length not in self._cuts:
            self._cuts[max_length] = self._cut(max_length)
        return self._cuts[max_length]

    @cached_property
    def _sorted_tokens(self) -> Counts:
        return np.sort(self.row_tokens)

    @cached_property
    def _cuts(self) -> dict[int, Cut]:
        """Cuts that were counted: a planner asks for the same ones again and again."""
        return {}

    def _cut(self, max_length: int) -> Cut:
        if self.format == "text":
            return self._divided(max_length)
        scored = np.clip(np.minimum(self.row_scored_tokens, max_length - self.row_prompt_tokens), 0, None)
        left = scored > 0
        kept, shorter = np.minimum(self.row_tokens[left], max_length), self.row_shorter_tokens
        return Cut(
            rows=len(kept),
            truncated_rows=int((self.row_tokens > max_length).sum()),
            tokens=int(kept.sum()),
            scored_tokens=int(scored.sum()),
            unscored_rows=len(left) - len(kept),
            row_of_a_token=float(np.square(kept, dtype=np.float64).sum() / max(1.0, kept.sum())),
            pair_tokens=0 if shorter is None else int(kept.sum() + np.minimum(shorter[left], max_length).sum()),
        )

    def _divided(self, max_length: int) -> Cut:
        """Documents in pieces of `max_length`; the first token of a piece is no target."""
        full = (self.row_tokens - 1) // max_length
        rest = self.row_tokens - full * max_length
        alone = int(((rest == 1) & (full > 0)).sum())  # a last token by itself has nothing to be predicted from
        squares = full.sum() * float(max_length) ** 2 + np.square(rest, dtype=np.float64).sum()
        return Cut(
            rows=len(full) + int(full.sum()) - alone,
            truncated_rows=0,
            tokens=self.tokens - alone,
            scored_tokens=self.scored_tokens - int(full.sum()),
            unscored_rows=0,
            row_of_a_token=float(squares / max(1, self.tokens)),
        )
