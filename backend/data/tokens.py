"""Examples to token ids and the mask of scored tokens: always one tokenisation of the whole text, never of pieces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from backend.data.conversation import Conversation, Example, Text
from backend.data.masking import Rendered, render
from backend.data.template import Refusal
from backend.data.tokenizer import TextTokenizer
from backend.errors import UserError

if TYPE_CHECKING:
    from tokenizers import Encoding

Ids = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]
Range = tuple[int, int]
NO_END = "no end of turn"


@dataclass(frozen=True)
class Row:
    """One example as the model sees it. Both arrays have one entry a token."""

    ids: Ids
    scored: Mask
    """This token is a target of the loss. Never the first: nothing stands before it to predict it from."""
    truncated: bool = False


@dataclass
class Tally:
    """What happened on the way, over many rows."""

    notes: Counter[str] = field(default_factory=Counter)
    """Rows by what was changed for the template (keys of masking.py) or is missing (NO_END)."""
    refused: int = 0
    """Rows that the chat template does not take: they are left out."""
    refusal: str = ""
    """The first of them: its row number and the reason."""


def tokenize(example: Example, tokenizer: TextTokenizer, max_length: int | None = None) -> Row:
    """One example's tokens, cut after `max_length`. UserError (field `data`) where the template refuses it."""
    tally = Tally()
    row = tokenize_all([example], tokenizer, max_length, tally)[0]
    if row is None:
        raise UserError(f"the chat template does not take {tally.refusal}", "data")
    return row


def tokenize_all(
    examples: Sequence[Example], tokenizer: TextTokenizer, max_length: int | None, tally: Tally
) -> list[Row | None]:
    """Every example's tokens in order; None where the template refuses one, which `tally` counts."""
    rows: list[Row | None] = [None] * len(examples)
    texts = [(at, x) for at, x in enumerate(examples) if isinstance(x, Text)]
    for (at, text), ids in zip(texts, tokenizer.encode_ids([x.document for _, x in texts]), strict=True):
        rows[at] = _text_row(text, ids, tokenizer, max_length, tally)
    rendered = [
        (at, made)
        for at, x in enumerate(examples)
        if isinstance(x, Conversation) and (made := _rendered(x, tokenizer, tally)) is not None
    ]
    encodings = tokenizer.encode_batch([made.text for _, made in rendered])
    for (at, made), encoding in zip(rendered, encodings, strict=True):
        rows[at] = _conversation_row(made, encoding, tokenizer, max_length, tally)
    return rows


def token_ranges(rendered: Rendered, encoding: Encoding, special: frozenset[int]) -> list[Range]:
    """Scored ranges of tokens for a rendered conversation's scored ranges of characters."""
    return [_token_range(rendered.text, span, encoding, special) for span in rendered.spans]


def _rendered(conversation: Conversation, tokenizer: TextTokenizer, tally: Tally) -> Rendered | None:
    try:
        made = render(conversation, tokenizer)
    except Refusal as refusal:
        tally.refused += 1
        tally.refusal = tally.refusal or f"row {conversation.row}: {refusal}"
        return None
    tally.notes.update(made.notes)
    return made


def _conversation_row(
    made: Rendered, encoding: Encoding, tokenizer: TextTokenizer, max_length: int | None, tally: Tally
) -> Row:
    ids = np.array(encoding.ids, dtype=np.int32)
    scored = np.zeros(len(ids), dtype=np.bool_)
    ranges = token_ranges(made, encoding, tokenizer.special_ids)
    for start, end in ranges:
        scored[start:end] = True
    if ranges and ids[ranges[-1][1] - 1] not in tokenizer.special_ids:
        tally.notes[NO_END] += 1
    return _cut(ids, scored, max_length)


def _text_row(text: Text, ids: list[int], tokenizer: TextTokenizer, max_length: int | None, tally: Tally) -> Row:
    """BOS where the tokenizer starts texts with it (never twice), the document, EOS; all of it scored."""
    bos, eos = tokenizer.token_id("bos_token"), tokenizer.token_id("eos_token")
    if tokenizer.adds_bos and bos is not None and ids[:1] != [bos]:
        ids = [bos, *ids]
    if text.ends and eos is None:
        tally.notes[NO_END] += 1
    if text.ends and eos is not None and ids[-1:] != [eos]:
        ids = [*ids, eos]
    return _cut(np.array(ids, dtype=np.int32), np.ones(len(ids), dtype=np.bool_), max_length)


def _cut(ids: Ids, scored: Mask, max_length: int | None) -> Row:
    scored[:1] = False
    if max_length is None or len(ids) <= max_length:
        return Row(ids, scored)
    return Row(ids[:max_length], scored[:max_length], truncated=True)


def _token_range(text: str, span: Range, encoding: Encoding, special: frozenset[int]) -> Range:
    """Tokens of a range of characters.

    A token across its start or end counts as inside where the part outside is white space (a tokenizer joins the
    prompt's last space to the answer's first word). White space after the end-of-turn mark is not scored: the model
    has stopped there.
    """
    start = _token_at(text, span[0], encoding)
    chars = encoding.token_to_chars(start) if start < len(encoding) else None
    if chars and chars[0] < span[0] and text[chars[0] : span[0]].strip():
        start += 1
    end = _token_at(text, span[1], encoding)
    chars = encoding.token_to_chars(end) if end < len(encoding) else None
    if chars and chars[0] < span[1] and not text[span[1] : chars[1]].strip():
        end += 1
    return start, max(start, _end_of_turn(text, (start, end), encoding, special))


def _token_at(text: str, at: int, encoding: Encoding) -> int:
    """The first token that holds character `at`, or the next one that any token holds; the count of all at the end."""
    while at < len(text):
        token = encoding.char_to_token(at)
        if token is not None:
            return token
        at += 1
    return len(encoding)


def _end_of_turn(text: str, tokens: Range, encoding: Encoding, special: frozenset[int]) -> int:
    """The end without white space behind the last mark."""
    start, end = tokens
    for token in range(end - 1, start - 1, -1):
        chars = encoding.token_to_chars(token)
        if chars is None or text[chars[0] : chars[1]].strip():
            return token + 1 if encoding.ids[token] in special else end
    return end
