"""Preference data for the trainer: pairs of a better and a worse answer (DPO), or answers marked good or bad (KTO)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from backend.data import objectives
from backend.data.chat.tokenizer import TextTokenizer
from backend.data.chat.tokens import Ids, Mask
from backend.data.content import of_content
from backend.data.finding import OF_SFT, Finding, by_severity, count_of, finding
from backend.data.formats import examples_of, read_as
from backend.data.pairs import pairs_of
from backend.data.prepare import ASKED, Part, Prepared, Rows, held_out_places, part_of, some_places
from backend.data.probes import probes
from backend.data.reading.load import Source, load
from backend.data.reading.stream import Say
from backend.data.report import Counts
from backend.data.tokenised import findings_of
from backend.data.tokenizing import Tokenizing
from backend.errors import UserError

Kind = Literal["dpo", "kto"]


class Preference(NamedTuple):
    """One row of preference data."""

    rows: tuple[tuple[Ids, Mask], ...]
    """The better and the worse answer, each with its prompt; or the one answer that is marked."""
    good: bool | None = None
    """Whether that one answer is good; None for a pair."""


@dataclass(frozen=True)
class PreferenceRows:
    """Rows of preference data, in the data's order."""

    sides: tuple[Rows, ...]
    """The better and the worse answers, or the marked ones alone."""
    good: tuple[bool, ...] = ()

    def __len__(self) -> int:
        return len(self.sides[0])

    def __getitem__(self, at: int) -> Preference:
        return Preference(tuple(side[at] for side in self.sides), self.good[at] if self.good else None)

    def some(self, places: Counts) -> PreferenceRows:
        """Those at `places`."""
        sides = tuple(Rows(side.flat, side.index[places]) for side in self.sides)
        return PreferenceRows(sides, tuple(self.good[int(i)] for i in places) if self.good else ())


def prepare_preferences(
    kind: Kind,
    reference: str,
    mapping: Sequence[str],
    tokenizer_folder: Path,
    max_length: int,
    eval_fraction: float,
    seed: int,
    say: Say = lambda text: None,
    how: Tokenizing | None = None,
) -> Prepared:
    """Like `backend.data.prepare.prepare`; only the last answer of a conversation is compared.

    UserError (field `objective`) if the data has no pairs or marks.
    """
    source, tokenizer = load(reference, say), TextTokenizer.load(tokenizer_folder)
    how = replace(how or Tokenizing(), max_length=max_length, train_on_turns="last")
    read = _pairs if kind == "dpo" else _marked
    rows, part, left_out, compared = read(source, mapping, tokenizer, how, say)
    if source.held_out is not None and eval_fraction > 0:
        other, other_part, _, other_compared = read(source.held_out, mapping, tokenizer, how, say)
        train, evaluated = rows, other.some(some_places(len(other)))
    else:
        other_part, other_compared = part, compared
        out = held_out_places(part, eval_fraction, seed, rows.sides[0].index)
        train, evaluated = rows.some(np.setdiff1d(np.arange(len(rows)), out)), rows.some(out)
    asked = (other_part, _wanted(evaluated)) if len(evaluated) else (part, _wanted(train))
    return Prepared(
        train=train,
        held_out=evaluated,
        dropped=len(source.rows) - len(rows),
        truncated=part.flat.meta["truncated"],
        chat_template=tokenizer.chat_template if tokenizer.is_fallback and part.seen.has_chats else None,
        probes=probes(asked[0].found, asked[1].sides[0].places[:ASKED].tolist(), tokenizer, max_length),
        findings=by_severity(
            x
            for x in (*source.findings, *of_content(part.found, part.seen), *findings_of(part.flat.meta), *left_out)
            if x.kind not in OF_SFT
        ),
        fingerprint=f"{kind} {part.key} {len(rows)} {compared}",
        validation="" if other_part is part else f"{other_part.key} {other_compared}",
    )


def _wanted(rows: PreferenceRows) -> PreferenceRows:
    """The rows whose answers the model should give: the better side of pairs, or the answers marked as good."""
    return rows.some(np.flatnonzero(rows.good)) if any(rows.good) else rows


_Read = tuple[PreferenceRows, Part, tuple[Finding, ...], str]
"""The rows, the part of their (better) answers, what was left out, and a text that changes with what they are
compared by: the worse answers, or the marks."""


def _left_out(rows: Sequence[int], how: Tokenizing) -> tuple[Finding, ...]:
    """Pairs whose answers do not differ in what is left of them."""
    text = f"{count_of(len(rows))} left out: within {how.max_length} tokens they do not have two different answers."
    return (finding("warns", "pairs-cut", text, f"--max-length above {how.max_length}", rows),) if rows else ()


def _cut(worse: Part) -> Iterator[Finding]:
    """Rows that `max_length` cuts together with their worse answer, which may be much longer than the better one."""
    for found in findings_of(worse.flat.meta):
        if found.kind == "rows-cut":
            yield replace(found, kind="worse-answers-cut", text=f"With the worse answer, {found.text}")


def _pairs(source: Source, mapping: Sequence[str], tokenizer: TextTokenizer, how: Tokenizing, say: Say) -> _Read:
    """Rows with two different answers to one prompt; the part of the better ones; what was left out."""
    better, worse = pairs_of(source, mapping)
    parts = [part_of(found, tokenizer, how, say) for found in (better, worse)]
    by_row = [_first_of_row(part) for part in parts]
    both = sorted(by_row[0].keys() & by_row[1].keys())
    sides = [Rows(part.flat, np.array([at[row] for row in both], int)) for part, at in zip(parts, by_row, strict=True)]
    differ = np.array([not np.array_equal(sides[0][i][0], sides[1][i][0]) for i in range(len(both))], bool)
    rows = PreferenceRows(tuple(sides)).some(np.flatnonzero(differ))
    if not len(rows):
        raise UserError(f"objective: no row of {source.reference} has two different answers; use sft", "objective")
    alike = [row for row, is_pair in zip(both, differ, strict=True) if not is_pair]
    alike += by_row[0].keys() - by_row[1].keys()
    return rows, parts[0], (*_left_out(sorted(alike), how), *_cut(parts[1])), parts[1].key


def _marked(source: Source, mapping: Sequence[str], tokenizer: TextTokenizer, how: Tokenizing, say: Say) -> _Read:
    """Rows whose answer is marked; their part; nothing further that was left out."""
    found = examples_of(source, mapping)
    objectives.refuse("kto", source.reference, objectives.of(found.layout))
    column = found.layout.verdict
    part = part_of(read_as(found, found.layout.mapping, column), tokenizer, how, say)
    marks = [objectives.mark(row.get(column)) for row in source.rows]
    at = _first_of_row(part)
    chosen = sorted(at)
    rows = PreferenceRows(
        (Rows(part.flat, np.array([at[row] for row in chosen], int)),), tuple(bool(marks[row]) for row in chosen)
    )
    if len(set(rows.good)) < 2:
        raise UserError(f"objective: kto needs good and bad answers; column {column!r} has one kind only", "objective")
    return rows, part, (), blake2b(bytes(rows.good), digest_size=16).hexdigest()


def _first_of_row(part: Part) -> dict[int, int]:
    """Row of the data -> its place among the token rows."""
    places = part.flat.arrays["places"]
    numbers = part.seen.rows[places].tolist()
    return {row: at for at, row in reversed(list(enumerate(numbers)))}
