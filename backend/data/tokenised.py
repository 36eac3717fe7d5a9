"""The examples of a source as token rows on disk: what was tokenised before with the same inputs is used again."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import asdict, astuple, dataclass, field, replace
from datetime import date
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt

from backend.data import store
from backend.data.chat.tallied import tally_findings
from backend.data.chat.tally import Tally
from backend.data.chat.tokenizer import TextTokenizer
from backend.data.chat.tokens import tokenize_all
from backend.data.chunks import CHUNK, chunks
from backend.data.conversation import Example, Text
from backend.data.fate import fate, fitted
from backend.data.finding import Finding, count_of, finding
from backend.data.formats import Examples
from backend.data.preflight.checks import preflight
from backend.data.preflight.cuts import MUCH, percent
from backend.data.preflight.groups import groups
from backend.data.reading.stream import Say
from backend.data.survey import Survey
from backend.data.tokenizing import Tokenizing

PLACES, GROUPS, CONTENTS = "places", "groups", "contents"
"""Arrays of a stored data set: the example that each row comes from, and numbers that are equal for rows of one
question and for rows of equal content."""


def key_of(seen: Survey, tokenizer: TextTokenizer, how: Tokenizing) -> str:
    """A key that changes with everything that the token rows depend on: content, tokenizer, template, choices.

    A template that writes the date makes other rows every day.
    """
    content = blake2b(seen.digests.tobytes() + seen.rows.tobytes(), digest_size=16).hexdigest()
    today = date.today().isoformat() if tokenizer.writes_date else ""
    parts = f"{store.VERSION} {content} {tokenizer.fingerprint} {astuple(how)} {today}"
    return blake2b(parts.encode(), digest_size=16).hexdigest()


@dataclass
class _Made:
    """The results for the examples so far."""

    tally: Tally = field(default_factory=Tally)
    places: array[int] = field(default_factory=lambda: array("q"))
    without_target: list[int] = field(default_factory=list)
    answer_cut: list[int] = field(default_factory=list)
    truncated: list[int] = field(default_factory=list)
    tokens: int = 0
    kept_tokens: int = 0


def tokenised(
    found: Examples, seen: Survey, key: str, tokenizer: TextTokenizer, how: Tokenizing, say: Say
) -> store.Flat:
    """The token rows of all examples, saved under `key`. `how` names a `max_length`."""
    assert how.max_length is not None
    made, done = _Made(), 0
    with store.Writer(key) as writer:
        for chunk in chunks(found):
            rows = list(_rows(chunk, done, seen, tokenizer, how, made))
            writer.add([row.ids for row in rows], [row.scored for row in rows])
            done += len(chunk)
            if len(seen.rows) > CHUNK:
                say(f"tokenised {done:,} of {len(seen.rows):,} rows")
        places = np.array(made.places, dtype=np.int64)
        findings = [
            *tally_findings(made.tally, tokenizer.is_fallback and seen.has_chats),
            *_findings(made, how.max_length),
            *preflight(seen.kept),
        ]
        meta = {
            "used_rows": seen.source_rows(places),
            "truncated": len(made.truncated),
            "refused": made.tally.refused,
            "refusal": made.tally.refusal,
            "without_target": len(made.without_target),
            "findings": [asdict(x) for x in findings],
        }
        content = seen.digests[:, 0]
        return writer.finish(meta, {PLACES: places, GROUPS: _sides(seen)[places], CONTENTS: content[places]})


def _sides(seen: Survey) -> npt.NDArray[np.uint64]:
    """Equal numbers for examples that must not be on both sides of the split, near-duplicates too if not too many."""
    if not seen.is_whole or len(np.unique(seen.rows)) < len(seen.rows):
        return seen.groups
    return np.array([int(key[:16], 16) for key in groups(seen.kept)], dtype=np.uint64)


def findings_of(meta: dict[str, Any]) -> list[Finding]:
    """What was found when the rows were tokenised."""
    return [Finding(**{**kept, "rows": tuple(kept["rows"])}) for kept in meta["findings"]]


def _rows(
    chunk: Sequence[Example], first: int, seen: Survey, tokenizer: TextTokenizer, how: Tokenizing, made: _Made
) -> Iterator[Any]:
    """The token rows of some examples, the first of which is number `first`."""
    assert how.max_length is not None
    for at, row in enumerate(tokenize_all(chunk, tokenizer, replace(how, max_length=None), made.tally)):
        place = first + at
        became = fate(row, None if isinstance(chunk[at], Text) else how.max_length)
        if became == "no target":
            made.without_target.append(int(seen.rows[place]))
        elif became == "answer cut":
            made.answer_cut.append(int(seen.rows[place]))
        if row is None or became != "used":
            continue
        made.tokens += len(row.ids)
        for part in fitted(chunk[at], row, how.max_length):
            made.places.append(place)
            if part.truncated:
                made.truncated.append(int(seen.rows[place]))
            made.kept_tokens += len(part.ids)
            yield part


def _findings(made: _Made, max_length: int) -> Iterator[Finding]:
    if made.without_target:
        text = f"{count_of(len(made.without_target))} without a target token left out."
        yield finding("warns", "no-target-tokens", text, "mark their answers as trained", made.without_target)
    longer = f"--max-length above {max_length}"
    if made.answer_cut:
        text = f"No answer begins within {max_length:,} tokens in {count_of(len(made.answer_cut))}, left out."
        yield finding("warns", "answers-cut", text, longer, made.answer_cut)
    if made.truncated:
        share = 1 - made.kept_tokens / made.tokens
        count = count_of(len(made.truncated))
        text = f"{count} cut at {max_length:,} tokens: {percent(share)} of the tokens used are lost."
        yield finding("warns" if share >= MUCH else "notes", "rows-cut", text, longer, made.truncated)
