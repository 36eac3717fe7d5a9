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
from backend.data.finding import Finding, by_severity, count_of, finding
from backend.data.formats import examples_of
from backend.data.load import load
from backend.data.notes import content_findings, length_findings, missing_rows, tally_findings
from backend.data.preflight.checks import preflight
from backend.data.preview import preview
from backend.data.report import DataReport
from backend.data.tokenizer import TextTokenizer
from backend.errors import UserError, wont_do
from backend.model.info import ModelInfo

__all__ = ["assumed", "candidates", "inspect"]


def inspect(
    reference: str, *, mapping: Sequence[str] = (), model: ModelInfo | None = None, seed: int = 0
) -> DataReport:
    """Read `reference` whole and measure it, with the model's tokenizer and template where they are at hand.

    UserError (field `data` or `mapping`) of one sentence where it can't be read.
    """
    with _collector_paused():
        return _inspected(reference, mapping, model, seed)


def _inspected(reference: str, mapping: Sequence[str], model: ModelInfo | None, seed: int) -> DataReport:
    source = load(reference)
    found = examples_of(source, mapping)
    tokenizer = TextTokenizer.load(model.tokenizer_file.parent) if model and model.tokenizer_file else None
    counts = counted(found.examples, tokenizer, seed) if tokenizer else estimated(found.examples)
    if not len(counts.tokens):
        raise UserError(f"the model's chat template takes no row of {reference}; {counts.tally.refusal}", "data")
    digests = [digest(example) for example in found.examples]
    empty = missing_rows(found.examples, len(source.rows))
    chosen = [finding("notes", "files", text) for text in source.notes]
    findings = [*content_findings(found.examples, empty, digests), *preflight(found.examples), *chosen]
    findings += _token_findings(found.examples, counts, tokenizer, model)
    return DataReport(
        reference=reference,
        format=found.layout.kind,
        mapping=found.layout.mapping,
        columns=source.columns,
        row_tokens=counts.tokens,
        row_scored_tokens=counts.scored,
        row_prompt_tokens=counts.prompt,
        empty_rows=found.empty,
        duplicate_rows=len(digests) - len(set(digests)),
        exact=counts.exact,
        preview=preview(found.examples, tokenizer),
        findings=by_severity(findings),
        source_rows=len(source.rows),
        refused_rows=found.empty + counts.tally.refused + int((counts.scored == 0).sum()),
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
    examples: Sequence[Example], counts: Counted, tokenizer: TextTokenizer | None, model: ModelInfo | None
) -> list[Finding]:
    chats = any(isinstance(example, Conversation) for example in examples)
    found = tally_findings(counts.tally, tokenizer is not None and tokenizer.is_fallback and chats)
    if tokenizer is None:
        size = bytes_per_token(examples)
        text = f"Tokens are estimated at {size:.1f} bytes each: the model's tokenizer is not here yet."
        found.append(finding("notes", "tokens-estimated", text))
    elif not counts.exact:
        text = f"Tokens are counted in {constants().sample_rows:,} rows and fitted for the others."
        found.append(finding("notes", "tokens-sampled", text))
    unscored = int((counts.scored == 0).sum())
    if unscored:
        text = f"Nothing is scored in {count_of(unscored)}."
        found.append(Finding("warns", "no-target-tokens", text, "remove those rows", row_count=unscored))
    if model is not None and model.shape.context:
        found += length_findings(counts.tokens, model.shape.context)
    return found
