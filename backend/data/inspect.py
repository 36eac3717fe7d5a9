"""What is in the data, before anything is trained: the report that the wizard and `fttui plan` show."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b

import numpy as np

from backend.data.candidates import candidates
from backend.data.constants import constants
from backend.data.conversation import Conversation, Example, digest
from backend.data.counting import Counted, bytes_per_token, counted, estimated
from backend.data.formats import examples_of
from backend.data.load import load
from backend.data.notes import content_problems, length_problems, rows, tally_notes
from backend.data.preview import preview
from backend.data.report import DataReport
from backend.data.tokenizer import TextTokenizer
from backend.data.tokenizing import WHOLE, Tokenizing
from backend.errors import UserError, wont_do
from backend.model.info import ModelInfo

__all__ = ["assumed", "candidates", "inspect"]


def inspect(
    reference: str,
    *,
    mapping: Sequence[str] = (),
    model: ModelInfo | None = None,
    seed: int = 0,
    how: Tokenizing = WHOLE,
) -> DataReport:
    """Read `reference` whole and measure it, with the model's tokenizer and template where they are at hand.

    `how` are the run's choices of what is learned. UserError (field `data` or `mapping`) of one sentence if it can't
    be read.
    """
    with _collector_paused():
        return _inspected(reference, mapping, model, seed, how)


def _inspected(
    reference: str, mapping: Sequence[str], model: ModelInfo | None, seed: int, how: Tokenizing
) -> DataReport:
    source = load(reference)
    found = examples_of(source, mapping)
    tokenizer = TextTokenizer.load(model.tokenizer_file.parent) if model and model.tokenizer_file else None
    counts = counted(found.examples, tokenizer, seed, how) if tokenizer else estimated(found.examples)
    if not len(counts.tokens):
        raise UserError(f"the model's chat template takes no row of {reference}; {counts.tally.refusal}", "data")
    digests = [digest(example) for example in found.examples]
    duplicates = len(digests) - len(set(digests))
    notes, problems = _sentences(found.examples, counts, tokenizer, model)
    return DataReport(
        reference=reference,
        format=found.layout.kind,
        mapping=found.layout.mapping,
        columns=source.columns,
        row_tokens=counts.tokens,
        row_scored_tokens=counts.scored,
        row_prompt_tokens=counts.prompt,
        empty_rows=found.empty,
        duplicate_rows=duplicates,
        exact=counts.exact,
        preview=preview(found.examples, tokenizer, how),
        problems=(*content_problems(found.examples, found.empty, duplicates), *problems),
        notes=(*source.notes, *notes),
        fingerprint=blake2b(b"".join(digests), digest_size=16).hexdigest(),
        files=tuple(str(path) for path in source.files),
    )


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Rows are made by the hundred thousand and none of them is garbage: the collector would only walk through them."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def assumed(rows: int, row_tokens: int) -> DataReport:
    """The report of data that is not there yet: `rows` rows of `row_tokens` tokens, prompt and answer together."""
    if rows < 1:
        raise wont_do("rows", rows, "a whole number of at least 1")
    if row_tokens < 2:
        raise wont_do("row tokens", row_tokens, "at least 2, prompt and answer together", "row_tokens")
    tokens = np.full(rows, row_tokens, dtype=np.int64)
    scored = np.full(rows, max(1, round(row_tokens * constants().scored_fraction)), dtype=np.int64)
    share = f"{constants().scored_fraction:.0%}"
    return DataReport(
        reference="",
        format="none",
        mapping={},
        columns=(),
        row_tokens=tokens,
        row_scored_tokens=scored,
        row_prompt_tokens=tokens - scored,
        exact=False,
        notes=(f"Planned from {rows:,} rows of {row_tokens:,} tokens, {share} of them in answers.",),
    )


def _sentences(
    examples: Sequence[Example], counts: Counted, tokenizer: TextTokenizer | None, model: ModelInfo | None
) -> tuple[list[str], list[str]]:
    chats = any(isinstance(example, Conversation) for example in examples)
    notes, problems = tally_notes(counts.tally, tokenizer is not None and tokenizer.is_fallback and chats)
    if tokenizer is None:
        size = bytes_per_token(examples)
        notes.append(f"Tokens are estimated at {size:.1f} bytes each: the model's tokenizer is not here yet.")
    elif not counts.exact:
        notes.append(f"Tokens are counted in {constants().sample_rows:,} rows and fitted for the others.")
    unscored = int((counts.scored == 0).sum())
    if unscored:
        problems.append(f"Nothing is scored in {rows(unscored)}.")
    if model is not None and model.shape.context:
        over = int((counts.tokens > model.shape.context).sum())
        problems += length_problems(int(counts.tokens.max()), over, model.shape.context)
    return notes, problems
