"""Everything the trainer needs of the data: token rows to train on, held-out rows, and questions to ask the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from backend.data import store
from backend.data.conversation import Conversation, Example, Text, answer_of, digest
from backend.data.finding import Finding, by_severity, finding
from backend.data.formats import examples_of
from backend.data.load import load
from backend.data.masking import prompt_turns
from backend.data.notes import content_findings, missing_rows, tally_findings
from backend.data.preflight.checks import preflight
from backend.data.preflight.groups import groups
from backend.data.report import Counts
from backend.data.split import held_out
from backend.data.template import Refusal
from backend.data.tokenizer import TextTokenizer
from backend.data.tokens import Ids, Mask, Row, Tally, tokenize_all
from backend.errors import UserError

CHUNK = 2000
"""Rows that are tokenised at once; progress is said in between."""
PROBES = 3

Say = Callable[[str], None]


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
    def lengths(self) -> Counts:
        """Tokens of each row."""
        return self.flat.lengths()[self.index]

    @property
    def scored_counts(self) -> Counts:
        """Scored tokens of each row, as the loss is divided by."""
        return self.flat.scored_counts()[self.index]


@dataclass(frozen=True)
class Probe:
    """A question of the held-out rows, to ask the model before and after training."""

    messages: tuple[dict[str, Any], ...]
    """The turns before the last answer, as chat templates take them; empty for plain text."""
    ids: Ids
    """Their tokens with the generation prompt, where the model goes on."""
    prompt: str
    """What to show: the last question, or the text's beginning."""
    answer: str
    """What the data answers."""


@dataclass(frozen=True)
class Prepared:
    """The data of one run."""

    train: Rows
    held_out: Rows
    dropped: int
    """Rows of the data that are not used: empty, refused by the chat template, or without a scored token."""
    truncated: int
    """Used rows that were cut to `max_length`."""
    chat_template: str | None
    """The template that stands in because the model has none; save it with the result. None where it has one."""
    probes: tuple[Probe, ...]
    findings: tuple[Finding, ...]
    """For the log, the most severe first."""
    fingerprint: str
    """Changes with the rows, the tokenizer, the template and `max_length`."""

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
) -> Prepared:
    """Read, tokenise, split. What was tokenised before with the same inputs comes from `$FTTUI_HOME/cache`.

    `say` gets a line now and then. UserError (field `data`, `mapping`, `model` or `max_length`) where nothing
    could be trained on.
    """
    source = load(reference)
    found = examples_of(source, mapping)
    tokenizer = TextTokenizer.load(tokenizer_folder)
    digests = [digest(example) for example in found.examples]
    key = _key(digests, tokenizer, max_length)
    flat = store.load(key) or _tokenised(key, found.examples, digests, tokenizer, max_length, say)
    kept: list[int] = flat.meta["examples"]
    if not kept:
        raise _nothing_left(flat.meta, reference, max_length)
    out = np.array(held_out(flat.meta["groups"], eval_fraction, seed), dtype=np.int64)
    train = np.setdiff1d(np.arange(len(kept)), out)
    asked = [found.examples[kept[row]] for row in (out if len(out) else train)]
    chats = any(isinstance(example, Conversation) for example in found.examples)
    return Prepared(
        train=Rows(flat, train),
        held_out=Rows(flat, out),
        dropped=found.empty + flat.meta["dropped"],
        truncated=flat.meta["truncated"],
        chat_template=tokenizer.chat_template if tokenizer.is_fallback and chats else None,
        probes=_probes(asked, tokenizer, max_length),
        findings=by_severity(
            [
                *(finding("notes", "files", text) for text in source.notes),
                *content_findings(found.examples, missing_rows(found.examples, len(source.rows)), digests),
                *map(_finding, flat.meta["findings"]),
            ]
        ),
        fingerprint=key,
    )


def _key(digests: Sequence[bytes], tokenizer: TextTokenizer, max_length: int) -> str:
    content = blake2b(b"".join(digests), digest_size=16).hexdigest()
    parts = f"{store.VERSION} {content} {tokenizer.fingerprint} {max_length}"
    return blake2b(parts.encode(), digest_size=16).hexdigest()


def _tokenised(
    key: str,
    examples: Sequence[Example],
    digests: Sequence[bytes],
    tokenizer: TextTokenizer,
    max_length: int,
    say: Say,
) -> store.Flat:
    tally = Tally()
    rows: list[Row | None] = []
    for start in range(0, len(examples), CHUNK):
        rows += tokenize_all(examples[start : start + CHUNK], tokenizer, max_length, tally)
        if len(examples) > CHUNK:
            say(f"tokenised {len(rows):,} of {len(examples):,} rows")
    kept = [(at, row) for at, row in enumerate(rows) if row is not None and row.scored.any()]
    chats = any(isinstance(example, Conversation) for example in examples)
    sides = groups(examples)
    found = [*tally_findings(tally, tokenizer.is_fallback and chats), *preflight(examples)]
    meta = {
        "examples": [at for at, _ in kept],
        "groups": [sides[at] for at, _ in kept],
        "dropped": len(rows) - len(kept),
        "truncated": sum(row.truncated for _, row in kept),
        "refused": tally.refused,
        "refusal": tally.refusal,
        "findings": [asdict(one) for one in found],
    }
    return store.save(key, [row.ids for _, row in kept], [row.scored for _, row in kept], meta)


def _finding(kept: dict[str, Any]) -> Finding:
    return Finding(**{**kept, "rows": tuple(kept["rows"])})


def _nothing_left(meta: dict[str, Any], reference: str, max_length: int) -> UserError:
    if meta["refused"] == meta["dropped"]:
        return UserError(f"the model's chat template takes no row of {reference}; {meta['refusal']}", "data")
    return UserError(f"no answer of {reference} begins within {max_length} tokens; raise max_length", "max_length")


def _probes(examples: Sequence[Example], tokenizer: TextTokenizer, max_length: int) -> tuple[Probe, ...]:
    """Up to PROBES questions that leave half of `max_length` for the answer; the shortest where none does."""
    made = [probe for example in examples[: 10 * PROBES] if (probe := _probe(example, tokenizer)) is not None]
    short = [probe for probe in made if len(probe.ids) <= max_length // 2]
    return tuple(short[:PROBES] or sorted(made, key=lambda probe: len(probe.ids))[:1])


def _probe(example: Example, tokenizer: TextTokenizer) -> Probe | None:
    if isinstance(example, Text):
        return _text_probe(example, tokenizer)
    try:
        turns, tools = prompt_turns(example, tokenizer)
        text = tokenizer.render(turns, tools, add_generation_prompt=True) if turns else ""
    except Refusal:
        return None
    if not text:
        return None
    asked = next((turn["content"] for turn in reversed(turns) if turn["role"] == "user"), turns[-1]["content"])
    return Probe(tuple(turns), np.array(tokenizer.encode(text).ids, np.int32), asked, answer_of(example))


def _text_probe(text: Text, tokenizer: TextTokenizer) -> Probe | None:
    """The first third of a document, at most 64 tokens; the rest is what it goes on with."""
    (row,) = tokenize_all([text], tokenizer, None, Tally())
    if row is None or len(row.ids) < 6:
        return None
    start = min(len(row.ids) // 3, 64)
    prompt = tokenizer.decode(row.ids[:start].tolist())
    return Probe((), row.ids[:start], prompt, tokenizer.decode(row.ids[start:].tolist()))
