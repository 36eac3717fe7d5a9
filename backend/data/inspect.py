"""What is in the data, before anything is trained: the report that the wizard and `fttui plan` show."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from backend.data.constants import constants
from backend.data.content import of_content
from backend.data.counting import Counted, bytes_per_token, counted, estimated, longer_of_pairs
from backend.data.finding import Finding, by_severity, count_of, finding
from backend.data.formats import Examples, examples_of
from backend.data.notes import length_findings
from backend.data.pairs import learned_from
from backend.data.preflight.checks import preflight
from backend.data.preflight.leaks import leaks
from backend.data.preview import preview
from backend.data.reading.candidates import candidates
from backend.data.reading.load import Source, load
from backend.data.reading.stream import Say
from backend.data.report import Counts, DataReport
from backend.data.survey import Survey, survey
from backend.data.tokenizing import WHOLE, Tokenizing
from backend.errors import UserError, wont_do
from backend.model.info import ModelInfo

if TYPE_CHECKING:
    from backend.data.chat.tokenizer import TextTokenizer

__all__ = ["assumed", "candidates", "inspect"]
MOST_ROWS, MOST_ROW_TOKENS = 5_000_000, 10_000_000
"""Limits for data given by its size: more would not be fine-tuning, and would take gigabytes to plan."""


def inspect(
    reference: str,
    *,
    mapping: Sequence[str] = (),
    model: ModelInfo | None = None,
    seed: int = 0,
    say: Say = lambda text: None,
    how: Tokenizing = WHOLE,
    objective: str = "sft",
) -> DataReport:
    """Go through `reference` and measure it, with the model's tokenizer and template if they are on this box.

    `how` are the run's choices of what is learned. The rows counted are those that `objective` learns from. `say` gets
    a line now and then if there are many rows.
    UserError (field `data`, `mapping` or `objective`) of one sentence if it can't be read.
    """
    with _collector_paused():
        source = load(reference, say, samples=True)
        try:
            return _inspected(source, mapping, model, seed, how, objective, say)
        except UserError:
            if source.factor == 1:
                raise
        whole = load(reference, say)  # only the whole has the rows' true numbers
        return _inspected(whole, mapping, model, seed, how, objective, say)


def _inspected(
    source: Source,
    mapping: Sequence[str],
    model: ModelInfo | None,
    seed: int,
    how: Tokenizing,
    objective: str,
    say: Say,
) -> DataReport:
    reference = source.reference
    found, how, possible, worse = learned_from(source, mapping, objective, how)
    tokenizer = _tokenizer(model)

    def count(seen: Survey) -> Counted:
        return counted(seen, tokenizer, seed, how) if tokenizer else estimated(seen.sizes, seen.kept)

    seen = survey(found, seed, say)
    counts = count(seen)
    if worse is not None:
        of_worse = survey(worse, seed, say)
        counts = longer_of_pairs(seen, counts, of_worse, count(of_worse))
    if not len(counts.tokens):
        raise _nothing_used(reference, counts)
    used_rows = seen.source_rows(counts.used)
    rows = round(len(source.rows) * source.factor)
    findings = [*_findings(found, seen, counts, tokenizer, model), *_leaked(source, mapping, seen)]
    if source.factor > 1:  # a row's number in a sample is not its number in the data
        findings = [replace(found, rows=()) for found in findings]
    return DataReport(
        reference=reference,
        format=found.layout.kind,
        mapping=found.layout.mapping,
        columns=source.columns,
        unused_columns=found.layout.unused,
        objectives=possible,
        row_tokens=_repeated(counts.tokens, source),
        row_scored_tokens=_repeated(counts.scored, source),
        row_prompt_tokens=_repeated(counts.prompt, source),
        row_shorter_tokens=None if counts.shorter is None else _repeated(counts.shorter, source),
        empty_rows=round(len(seen.empty) * source.factor),
        duplicate_rows=len(seen.repeated),
        exact=counts.exact and source.factor == 1,
        preview=preview(seen.kept, tokenizer, how),
        findings=by_severity(findings),
        source_rows=rows,
        refused_rows=rows - round(used_rows * source.factor),
        fingerprint=seen.fingerprint,
        files=tuple(str(path) for path in source.files),
        row_numbers=seen.rows[counts.used] if source.factor == 1 else seen.rows[:0],
        held_out_rows=len(source.held_out.rows) if source.held_out else 0,
    )


def _repeated(counts: Counts, source: Source) -> Counts:
    """A sample's figures, repeated until there is one for each row."""
    return counts if source.factor == 1 else np.resize(counts, round(len(counts) * source.factor))


def _tokenizer(model: ModelInfo | None) -> TextTokenizer | None:
    """The model's tokenizer if it is on this box; templates and tokenizers are loaded only then."""
    if model is None or model.tokenizer_file is None:
        return None
    from backend.data.chat.tokenizer import TextTokenizer

    return TextTokenizer.load(model.tokenizer_file.parent, model.added_tokens)


def _nothing_used(reference: str, counts: Counted) -> UserError:
    if counts.tally.refused:
        return UserError(f"no row of {reference} can be used with this model; {counts.tally.refusal}", "data")
    return UserError(f"no row of {reference} has a token to learn from; mark the answers as trained", "data")


def _findings(
    found: Examples, seen: Survey, counts: Counted, tokenizer: TextTokenizer | None, model: ModelInfo | None
) -> Iterator[Finding]:
    yield from of_content(found, seen)
    yield from preflight(seen.kept)
    yield from found.source.findings
    yield from _token_findings(seen, counts, tokenizer, model)


def _leaked(source: Source, mapping: Sequence[str], seen: Survey) -> Iterator[Finding]:
    """Rows of the validation split that are trained on too."""
    if source.held_out is not None:
        yield from leaks(seen.kept, survey(examples_of(source.held_out, mapping), 0).kept)


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Pause garbage collection: hundreds of thousands of rows are made, none is garbage, and all would be traversed."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def assumed(rows: int, row_tokens: int) -> DataReport:
    """The report of data that is not there yet: `rows` rows of `row_tokens` tokens, prompt and answer together."""
    if not 1 <= rows <= MOST_ROWS:
        raise wont_do("rows", rows, f"a whole number from 1 to {MOST_ROWS:,}")
    if not 2 <= row_tokens <= MOST_ROW_TOKENS:
        takes = f"2 to {MOST_ROW_TOKENS:,}, prompt and answer together"
        raise wont_do("row tokens", row_tokens, takes, "row_tokens")
    tokens = np.full(rows, row_tokens, dtype=np.int64)
    scored = np.full(rows, max(1, round(row_tokens * constants().scored_fraction)), dtype=np.int64)
    share = f"{constants().scored_fraction:.0%}"
    text = f"Planned from {rows:,} rows of {row_tokens:,} tokens, {share} of them in answers."
    return DataReport(
        reference="",
        format="none",
        mapping={},
        columns=(),
        row_tokens=tokens,
        row_scored_tokens=scored,
        row_prompt_tokens=tokens - scored,
        exact=False,
        findings=(finding("notes", "planned-from-sizes", text),),
        source_rows=rows,
    )


def _token_findings(
    seen: Survey, counts: Counted, tokenizer: TextTokenizer | None, model: ModelInfo | None
) -> Iterator[Finding]:
    if tokenizer is not None:
        from backend.data.chat.tallied import tally_findings

        yield from tally_findings(counts.tally, tokenizer.is_fallback and seen.has_chats)
    if tokenizer is None:
        size = bytes_per_token(seen.kept)
        text = f"Tokens are estimated at {size:.1f} bytes each: the model's tokenizer is not here yet."
        yield finding("notes", "tokens-estimated", text)
    elif not counts.exact:
        sample = min(constants().sample_rows, len(seen.kept))
        text = f"Tokens are counted in {sample:,} rows and fitted for the others; what is said of rows is carried over."
        yield finding("notes", "tokens-sampled", text)
    if len(counts.without_target):
        rows = seen.rows[counts.without_target].tolist()
        text = f"{count_of(len(rows))} without a target token {'is' if len(rows) == 1 else 'are'} left out."
        yield finding("warns", "no-target-tokens", text, "remove those rows, or mark their answers as trained", rows)
    if model is not None and model.shape.context and seen.has_chats:
        yield from length_findings(counts.tokens, seen.rows[counts.used], model.shape.context)
