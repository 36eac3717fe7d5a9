"""The data as the trainer needs it: token rows to train on, held-out rows, and questions to ask the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from backend.data import store
from backend.data.chat.tokenizer import TextTokenizer
from backend.data.chat.tokens import Ids, Mask
from backend.data.constants import constants
from backend.data.content import of_content
from backend.data.finding import Finding, by_severity
from backend.data.formats import Examples, examples_of
from backend.data.probes import Probe, probes
from backend.data.reading.load import Source, load
from backend.data.reading.stream import Say
from backend.data.report import Counts
from backend.data.split import held_out
from backend.data.survey import Survey, survey
from backend.data.tokenised import CONTENTS, GROUPS, PLACES, findings_of, key_of, tokenised
from backend.data.tokenizing import WHOLE, Tokenizing
from backend.errors import UserError

ASKED = 1000
"""Questions for the model are chosen from this many rows."""
__all__ = ["Prepared", "Probe", "Rows", "prepare"]


@dataclass(frozen=True)
class Rows:
    """Some of the rows on disk, without a copy."""

    flat: store.Flat
    index: Counts
    """Their numbers in `flat`, in the data's order."""

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, at: int) -> tuple[Ids, Mask]:
        """Row `at`: token ids (int32) and whether each is a target of the loss; the first never is."""
        return self.flat.row(int(self.index[at]))

    @property
    def places(self) -> Counts:
        """The example that each row is made of, by its place among those of its source."""
        places: Counts = self.flat.arrays[PLACES][self.index]
        return places

    @property
    def lengths(self) -> Counts:
        """Tokens of each row."""
        return self.flat.lengths()[self.index]

    @property
    def scored_counts(self) -> Counts:
        """Target tokens of each row, as the loss is divided by."""
        return self.flat.scored_counts()[self.index]


@dataclass(frozen=True)
class Prepared:
    """The data of one run."""

    train: Any
    """`Rows`, or `PreferenceRows` of backend/data/preferences.py."""
    held_out: Any
    """The same kind."""
    dropped: int
    """Rows of the data that are not used: empty, refused by the chat template, or without a scored token."""
    truncated: int
    """Used rows that were cut to `max_length`."""
    chat_template: str | None
    """The fallback template if the model has none, to be saved with the result; None if the model has one."""
    probes: tuple[Probe, ...]
    findings: tuple[Finding, ...]
    """Findings for the log, the most severe first."""
    fingerprint: str
    """Changes with the rows, the tokenizer, the template and `max_length`."""

    validation: str = ""
    """Changes with the rows of a separate validation split; empty if there is none."""
    questions: tuple[Probe, ...] = ()
    """Held-out questions whose answers are scored, if any are."""

    @property
    def notes(self) -> tuple[str, ...]:
        """The findings' sentences."""
        return tuple(found.text for found in self.findings)


def prepare(
    reference: str,
    mapping: Sequence[str],
    tokenizer_folder: Path,
    max_length: int,
    eval_fraction: float,
    seed: int,
    say: Say = lambda text: None,
    how: Tokenizing = WHOLE,
    questions: int = 0,
) -> Prepared:
    """Read, tokenise, split. What was tokenised before with the same inputs comes from `$FTTUI_HOME/cache`.

    If the data has a validation split, that is evaluated (up to a limit of rows) instead of a part of the training
    rows; with `eval_fraction` 0 nothing is. `say` gets a line now and then. `how` has the other choices that change a
    row's tokens; its `max_length` is not used. `questions` is the number of held-out questions to keep for scoring.
    Raises UserError (field `data`, `mapping`, `model` or `max_length`) if there is nothing to train on.
    """
    source = load(reference, say)
    tokenizer = TextTokenizer.load(tokenizer_folder)
    how = replace(how, max_length=max_length)
    part = part_of(examples_of(source, mapping), tokenizer, how, say)
    if source.held_out is not None and eval_fraction > 0:
        other = part_of(examples_of(source.held_out, mapping), tokenizer, how, say)
        train, evaluated = Rows(part.flat, np.arange(part.rows)), Rows(other.flat, some_places(other.rows))
    else:
        other = part
        out = held_out_places(part, eval_fraction, seed)
        train, evaluated = Rows(part.flat, np.setdiff1d(np.arange(part.rows), out)), Rows(part.flat, out)
    asked = (other, evaluated) if len(evaluated) else (part, train)
    return Prepared(
        train=train,
        held_out=evaluated,
        dropped=len(source.rows) - part.flat.meta["used_rows"],
        truncated=part.flat.meta["truncated"],
        chat_template=tokenizer.chat_template if tokenizer.is_fallback and part.seen.has_chats else None,
        probes=probes(asked[0].found, asked[1].places[:ASKED].tolist(), tokenizer, max_length),
        questions=probes(other.found, evaluated.places[:ASKED].tolist(), tokenizer, max_length, questions)
        if questions and len(evaluated)
        else (),
        findings=by_severity([*source.findings, *of_content(part.found, part.seen), *findings_of(part.flat.meta)]),
        fingerprint=part.key,
        validation="" if other is part else other.key,
    )


@dataclass(frozen=True)
class Part:
    """One split, tokenised."""

    found: Examples
    seen: Survey
    flat: store.Flat
    key: str

    @property
    def rows(self) -> int:
        return len(self.flat.arrays[PLACES])


def part_of(found: Examples, tokenizer: TextTokenizer, how: Tokenizing, say: Say) -> Part:
    """The examples tokenised; from the cache if they were before. UserError if nothing is left of them."""
    source = found.source
    seen = survey(found, 0, say)
    key = key_of(seen, tokenizer, how)
    flat = store.load(key) or tokenised(found, seen, key, tokenizer, how, say)
    if not len(flat.arrays[PLACES]):
        raise _nothing_left(flat, source, how.max_length or 0)
    return Part(found, seen, flat, key)


def held_out_places(part: Part, fraction: float, seed: int, index: Counts | None = None) -> Counts:
    """Places of the held-out rows. Rows with the same question stay together; if none can be held out, only copies do.

    If an `index` of some rows is given, the places are those within it.
    """
    groups, contents = (part.flat.arrays[name] for name in (GROUPS, CONTENTS))
    if index is not None:
        groups, contents = groups[index], contents[index]
    return np.array(held_out(groups, fraction, seed) or held_out(contents, fraction, seed), dtype=np.int64)


def some_places(rows: int) -> Counts:
    """Places of the rows of a validation split that are evaluated: up to the limit, spread evenly."""
    most = min(rows, constants().held_out_rows)
    return np.unique(np.linspace(0, rows - 1, most).astype(np.int64))


def _nothing_left(flat: store.Flat, source: Source, max_length: int) -> UserError:
    meta, names = flat.meta, source.reference
    if meta["refused"]:
        return UserError(f"no row of {names} can be used with this model; {meta['refusal']}", "data")
    if meta["without_target"]:
        return UserError(f"no row of {names} has a token to learn from; mark the answers as trained", "data")
    return UserError(f"no answer of {names} begins within {max_length} tokens; raise max_length", "max_length")
