"""How many tokens rows have: counted by the model's tokenizer (a sample if there are many), or estimated from bytes."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from backend.data.chat.tally import Tally
from backend.data.chunks import chunks
from backend.data.constants import constants
from backend.data.conversation import Example, Text
from backend.data.report import Counts
from backend.data.sizes import PROMPT, PROMPT_TURNS, SCORED, SCORED_TURNS, TOTAL, TURNS, Sizes, utf8_bytes
from backend.data.survey import Survey
from backend.data.tokenizing import WHOLE, Tokenizing

if TYPE_CHECKING:
    from backend.data.chat.tokenizer import TextTokenizer
    from backend.data.chat.tokens import Row

_WITHOUT_SINGLE = str.maketrans("", "", string.digits + string.punctuation)


@dataclass(frozen=True)
class Counted:
    """Tokens of each example that is used."""

    tokens: Counts
    scored: Counts
    prompt: Counts
    used: Counts
    """Their places among all examples: those that the chat template refuses and those without a target are left out."""
    refused: int
    """Examples that the chat template refuses."""
    without_target: Counts
    """Places of the examples that have no target token."""
    exact: bool
    """Every example was tokenised; otherwise a sample, to which the others are fitted."""
    tally: Tally
    shorter: Counts | None = None
    """Of pairs, tokens of the side that has fewer; None if rows have one answer."""


def estimated(table: Sizes, sample: Sequence[Example]) -> Counted:
    """Counts estimated from bytes alone, with the constants of presets/data.toml."""
    per_turn, size = constants().tokens_per_turn, bytes_per_token(sample)

    def tokens(of: int, turns: int) -> Counts:
        return np.ceil(table[:, of] / size + table[:, turns] * per_turn).astype(np.int64)

    scored = np.ceil(table[:, SCORED] / size).astype(np.int64) + table[:, SCORED_TURNS]
    total = np.maximum(tokens(TOTAL, TURNS), scored)
    prompt = np.minimum(tokens(PROMPT, PROMPT_TURNS), total - scored)
    everything = np.arange(len(table))
    return Counted(total, scored, prompt, everything, 0, everything[:0], False, Tally())


def bytes_per_token(examples: Sequence[Example]) -> float:
    """UTF-8 bytes per token, from a sample: each digit or symbol is a token, other text has several bytes per token."""
    letters = constants().letter_bytes_per_token
    texts = [_text(example) for example in examples[:: max(1, len(examples) // constants().sample_rows)]]
    size = sum(map(utf8_bytes, texts))
    single = sum(len(text) - len(text.translate(_WITHOUT_SINGLE)) for text in texts)
    return size / (single + (size - single) / letters) if size else letters


def counted(seen: Survey, tokenizer: TextTokenizer, seed: int, how: Tokenizing = WHOLE) -> Counted:
    """Counts by the tokenizer; beyond `exact_rows` a sample is counted, and the others are fitted to it by bytes."""
    limits, random = constants(), np.random.default_rng(seed)
    if seen.is_whole and len(seen.kept) <= limits.exact_rows:
        return _exact(seen, tokenizer, how)
    size = min(limits.sample_rows, len(seen.kept))
    places = np.sort(random.choice(len(seen.kept), size, replace=False))
    chosen = seen.kept_at[places]
    measured, taken, tally = _measure([seen.kept[at] for at in places], tokenizer, how)
    known = seen.sizes[chosen[taken]]
    columns = (TOTAL, SCORED, PROMPT)
    fitted = np.stack([_fit(known, measured[:, column], seen.sizes, column) for column in columns], axis=1)
    fitted[:, SCORED] = np.maximum(fitted[:, SCORED], 1)
    fitted[chosen[taken]] = measured
    refused = _carried_over(seen.shapes, chosen, taken, random)
    without = chosen[taken][measured[:, SCORED] == 0]
    used = np.setdiff1d(np.arange(len(fitted)), np.concatenate((refused, without)))
    _scale(tally, len(seen.rows) / size, len(refused))
    return Counted(*_columns(fitted[used]), used, len(refused), without, exact=False, tally=tally)


def longer_of_pairs(seen: Survey, better: Counted, of_worse: Survey, worse: Counted) -> Counted:
    """The side of each pair that has more tokens: both are padded to it. Pairs that lack one side are left out."""
    _, at, of = np.intersect1d(seen.rows[better.used], of_worse.rows[worse.used], return_indices=True)
    is_worse = worse.tokens[of] > better.tokens[at]
    return replace(
        better,
        tokens=np.where(is_worse, worse.tokens[of], better.tokens[at]),
        shorter=np.where(is_worse, better.tokens[at], worse.tokens[of]),
        scored=np.where(is_worse, worse.scored[of], better.scored[at]),
        prompt=better.prompt[at],
        used=better.used[at],
        exact=better.exact and worse.exact,
    )


def _exact(seen: Survey, tokenizer: TextTokenizer, how: Tokenizing) -> Counted:
    measured, taken, tally = _measure(seen.kept, tokenizer, how)
    has_target = measured[:, SCORED] > 0
    refused = len(seen.kept) - len(taken)
    return Counted(*_columns(measured[has_target]), taken[has_target], refused, taken[~has_target], True, tally)


def _carried_over(shapes: Counts, chosen: Counts, taken: Counts, random: np.random.Generator) -> Counts:
    """Places of the examples that are predicted to be refused: the share that is refused of each shape in the sample.

    A shape that is not in the sample is refused at the rate of the whole sample.
    """
    is_refused = np.ones(len(chosen), dtype=np.bool_)
    is_refused[taken] = False
    if not is_refused.any():
        return chosen[:0]
    kinds, kind_of = np.unique(shapes, return_inverse=True)
    sampled = np.bincount(kind_of[chosen], minlength=len(kinds))
    lost = np.bincount(kind_of[chosen][is_refused], minlength=len(kinds))
    share = np.where(sampled > 0, lost / np.maximum(sampled, 1), is_refused.mean())
    likely = random.random(len(shapes)) < share[kind_of]
    likely[chosen] = is_refused
    return np.flatnonzero(likely)


def _scale(tally: Tally, factor: float, refused: int) -> None:
    """Scale the sample's tally up to all examples."""
    tally.factor = factor
    tally.refused_rows.count = round(refused / factor)


def _measure(examples: Sequence[Example], tokenizer: TextTokenizer, how: Tokenizing) -> tuple[Counts, Counts, Tally]:
    """Tokens, target tokens and prompt tokens, one line a row that the template takes; those rows; the tally."""
    from backend.data.chat.tokens import tokenize_all  # not loaded if tokens are estimated

    tally = Tally()
    rows = [row for chunk in chunks(examples) for row in map(_line, tokenize_all(chunk, tokenizer, how, tally))]
    kept = np.array([at for at, row in enumerate(rows) if row is not None], dtype=np.int64)
    lines = [row for row in rows if row is not None]
    return np.array(lines, dtype=np.int64).reshape(-1, 3), kept, tally


def _line(row: Row | None) -> tuple[int, int, int] | None:
    if row is None:
        return None
    return len(row.ids), int(row.scored.sum()), int(row.scored.argmax()) if row.scored.any() else len(row.ids)


def _fit(known: Sizes, measured: Counts, table: Sizes, column: int) -> Counts:
    """Least squares of tokens by bytes and turns, applied to all rows."""
    columns = [column, column + TURNS]
    weights, *_ = np.linalg.lstsq(known[:, columns].astype(float), measured.astype(float), rcond=None)
    fitted: Counts = np.maximum(np.rint(table[:, columns] @ weights), 0).astype(np.int64)
    return fitted


def _columns(table: Counts) -> tuple[Counts, Counts, Counts]:
    return table[:, 0], table[:, 1], table[:, 2]


def _text(example: Example) -> str:
    """The text of an example that is counted in bytes, without tools and tool calls."""
    return example.document if isinstance(example, Text) else "".join(x.content for x in example.messages)
