"""How many tokens rows have: counted with the model's tokenizer, by a sample of many rows, or estimated from bytes."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from backend.data.constants import constants
from backend.data.conversation import Conversation, Example, Text, message_bytes
from backend.data.report import Counts
from backend.data.tokenizer import TextTokenizer
from backend.data.tokenizing import WHOLE, Tokenizing
from backend.data.tokens import Tally, tokenize_all

Sizes = npt.NDArray[np.int64]
"""Columns TOTAL, SCORED, PROMPT (before the first scored turn) and the turns of each, one line a row."""
_WITHOUT_SINGLE = str.maketrans("", "", string.digits + string.punctuation)
TOTAL, SCORED, PROMPT, TURNS, SCORED_TURNS, PROMPT_TURNS = range(6)


@dataclass(frozen=True)
class Counted:
    """Tokens of each row; rows that the chat template refuses are left out."""

    tokens: Counts
    scored: Counts
    prompt: Counts
    exact: bool
    tally: Tally


def sizes(examples: Sequence[Example]) -> Sizes:
    """UTF-8 bytes and turns of each row."""
    return np.array([_size(example) for example in examples], dtype=np.int64).reshape(-1, 6)


def estimated(examples: Sequence[Example]) -> Counted:
    """From bytes alone, with the constants of presets/data.toml."""
    per_turn, size = constants().tokens_per_turn, bytes_per_token(examples)
    table = sizes(examples)

    def tokens(of: int, turns: int) -> Counts:
        return np.ceil(table[:, of] / size + table[:, turns] * per_turn).astype(np.int64)

    scored = np.ceil(table[:, SCORED] / size).astype(np.int64) + table[:, SCORED_TURNS]
    total = np.maximum(tokens(TOTAL, TURNS), scored)
    return Counted(total, scored, np.minimum(tokens(PROMPT, PROMPT_TURNS), total - scored), False, Tally())


def bytes_per_token(examples: Sequence[Example]) -> float:
    """UTF-8 bytes in a token, by a sample: a digit or a symbol is one, other text has several bytes in each."""
    letters = constants().letter_bytes_per_token
    texts = [_text(example) for example in examples[:: max(1, len(examples) // constants().sample_rows)]]
    size = sum(map(_bytes, texts))
    single = sum(len(text) - len(text.translate(_WITHOUT_SINGLE)) for text in texts)
    return size / (single + (size - single) / letters) if size else letters


def counted(examples: Sequence[Example], tokenizer: TextTokenizer, seed: int, how: Tokenizing = WHOLE) -> Counted:
    """With the tokenizer; beyond `exact_rows` rows a sample is counted and the others are fitted to it by bytes."""
    limits = constants()
    if len(examples) <= limits.exact_rows:
        table, _, tally = _measure(examples, tokenizer, how)
        return Counted(*_columns(table), exact=True, tally=tally)
    chosen = np.sort(np.random.default_rng(seed).choice(len(examples), limits.sample_rows, replace=False))
    measured, kept, tally = _measure([examples[at] for at in chosen], tokenizer, how)
    table = sizes(examples)
    known = table[chosen[kept]]
    fitted = np.stack([_fit(known, measured[:, column], table, column) for column in (TOTAL, SCORED, PROMPT)], axis=1)
    fitted[chosen[kept]] = measured
    refused = np.setdiff1d(chosen, chosen[kept])
    return Counted(*_columns(np.delete(fitted, refused, axis=0)), exact=False, tally=tally)


def _measure(examples: Sequence[Example], tokenizer: TextTokenizer, how: Tokenizing) -> tuple[Counts, Counts, Tally]:
    """Tokens, scored tokens and prompt tokens, one line a row that the template takes; those rows; the tally."""
    tally = Tally()
    rows = tokenize_all(examples, tokenizer, how, tally)
    kept = np.array([at for at, row in enumerate(rows) if row is not None], dtype=np.int64)
    lines = [
        (len(row.ids), int(row.scored.sum()), int(row.scored.argmax()) if row.scored.any() else len(row.ids))
        for row in rows
        if row is not None
    ]
    return np.array(lines, dtype=np.int64).reshape(-1, 3), kept, tally


def _fit(known: Sizes, measured: Counts, table: Sizes, column: int) -> Counts:
    """Least squares of tokens by bytes and turns, applied to all rows."""
    columns = [column, column + TURNS]
    weights, *_ = np.linalg.lstsq(known[:, columns].astype(float), measured.astype(float), rcond=None)
    fitted: Counts = np.maximum(np.rint(table[:, columns] @ weights), 0).astype(np.int64)
    return fitted


def _columns(table: Counts) -> tuple[Counts, Counts, Counts]:
    return table[:, 0], table[:, 1], table[:, 2]


def _size(example: Example) -> tuple[int, int, int, int, int, int]:
    if isinstance(example, Text):
        size = _bytes(example.document)
        return size, size, 0, 1, 1, 0
    return _conversation_size(example)


def _conversation_size(example: Conversation) -> tuple[int, int, int, int, int, int]:
    total = scored = scored_turns = prompt = prompt_turns = 0
    for at, message in enumerate(example.messages):
        size = message_bytes(message) if message.extra else _bytes(message.content)
        if message.scored:
            if not scored_turns:
                prompt, prompt_turns = total, at + 1
            scored += size
            scored_turns += 1
        total += size
    extra = sum(len(str(tool)) for tool in example.tools)
    return total + extra, scored, prompt + extra, len(example.messages), scored_turns, prompt_turns


def _text(example: Example) -> str:
    """What of an example is counted in bytes, but for tools and tool calls."""
    return example.document if isinstance(example, Text) else "".join(x.content for x in example.messages)


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
