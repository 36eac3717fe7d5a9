"""Examples to token ids and the mask of target tokens: always one tokenisation of the whole text, never of pieces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from backend.data.chat.control import FOREIGN_MARKS, control_token, foreign_mark
from backend.data.chat.fitting import render_ahead
from backend.data.chat.masking import LONGEST, Rendered, render
from backend.data.chat.tally import BEYOND_EMBEDDING, Tally
from backend.data.chat.template import Refusal
from backend.data.chat.tokenizer import TextTokenizer
from backend.data.chunks import characters
from backend.data.conversation import Conversation, Example, Text
from backend.data.tokenizing import WHOLE, Tokenizing
from backend.errors import UserError

if TYPE_CHECKING:
    from tokenizers import Encoding

Ids = npt.NDArray[np.int32]
_AnyIds = npt.NDArray[np.int64]
"""Token ids in the tokenizer's own type."""
Mask = npt.NDArray[np.bool_]
Range = tuple[int, int]
LARGEST_ID = 2**31 - 1
"""Token ids are kept in 32 bits."""
NO_END = "no end of turn"
EOS_APPENDED = "EOS appended"
CONTROL_IN_DOCUMENT = "control tokens in documents"


@dataclass(frozen=True)
class Row:
    """One example as the model sees it. Both arrays have one entry a token."""

    ids: Ids
    scored: Mask
    """This token is a target of the loss. Never the first: nothing stands before it to predict it from."""
    truncated: bool = False


def tokenize(example: Example, tokenizer: TextTokenizer, how: Tokenizing = WHOLE) -> Row:
    """One example's tokens. UserError (field `data`) if it is refused."""
    tally = Tally()
    row = tokenize_all([example], tokenizer, how, tally)[0]
    if row is None:
        raise UserError(f"the model does not take {tally.refusal}", "data")
    return row


def tokenize_all(
    examples: Sequence[Example], tokenizer: TextTokenizer, how: Tokenizing, tally: Tally
) -> list[Row | None]:
    """Every example's tokens in order; None for those that are refused, which `tally` counts."""
    rows: list[Row | None] = [None] * len(examples)
    texts = [(at, x) for at, x in enumerate(examples) if isinstance(x, Text)]
    for (at, text), ids in zip(texts, tokenizer.encode_ids([x.document for _, x in texts]), strict=True):
        rows[at] = _row(*_text_row(text, ids, tokenizer, tally), text.row, tokenizer, how, tally)
    chats = [(at, x) for at, x in enumerate(examples) if isinstance(x, Conversation)]
    if len(chats) > 1:
        render_ahead([x for _, x in chats if characters(x) <= LONGEST], tokenizer)
    rendered = [(at, x.row, made) for at, x in chats if (made := _rendered(x, tokenizer, how, tally)) is not None]
    encodings = tokenizer.encode_batch(["" if made.plain else made.text for _, _, made in rendered])
    for (at, number, made), encoding in zip(rendered, encodings, strict=True):
        rows[at] = _row(*_conversation_row(made, encoding, tokenizer, number, tally), number, tokenizer, how, tally)
    return rows


def token_ranges(rendered: Rendered, encoding: Encoding) -> list[Range]:
    """Target ranges of tokens for a rendered conversation's target ranges of characters."""
    return [_token_range(rendered.text, span, encoding) for span in rendered.spans]


def _rendered(conversation: Conversation, tokenizer: TextTokenizer, how: Tokenizing, tally: Tally) -> Rendered | None:
    try:
        made = render(conversation, tokenizer, how)
    except Refusal as refusal:
        tally.refuse(refusal, conversation.row)
        return None
    for note in made.notes:
        tally.note(note.kind, conversation.row, note.value)
    return made


def _conversation_row(
    made: Rendered, encoding: Encoding, tokenizer: TextTokenizer, number: int, tally: Tally
) -> tuple[_AnyIds, Mask]:
    kept = encoding.ids
    if made.plain:
        kept, encoding = tokenizer.encode_aliased(made.text)
    eos = tokenizer.token_id("eos_token") if made.needs_eos else None
    ids = np.array(kept if eos is None else [*kept, eos], dtype=np.int64)
    scored = np.zeros(len(ids), dtype=np.bool_)
    ranges = token_ranges(made, encoding)
    for start, end in ranges:
        scored[start:end] = True
    if eos is not None:
        scored[-1] = True
        tally.note(EOS_APPENDED, number, tokenizer.special["eos_token"])
    elif made.needs_eos or (ranges and ids[ranges[-1][1] - 1] not in tokenizer.special_ids):
        tally.note(NO_END, number)
    return ids, scored


def _row(
    ids: _AnyIds, scored: Mask, number: int, tokenizer: TextTokenizer, how: Tokenizing, tally: Tally
) -> Row | None:
    """The row, cut after `how.max_length` tokens, if the model's embedding has all of those."""
    scored[:1] = False
    cut = how.max_length is not None and len(ids) > how.max_length
    ids, scored = ids[: how.max_length], scored[: how.max_length]
    most = tokenizer.embedding_rows or LARGEST_ID + 1
    largest = int(ids.max(initial=-1))
    if largest < most:
        return Row(ids.astype(np.int32), scored, cut)
    token = tokenizer.decode([largest])
    reason = f"its token {token!r} has the id {largest:,}, but the model's embedding has {most:,} rows (vocab_size)"
    tally.note(BEYOND_EMBEDDING, number, token)
    tally.refusal = tally.refusal or f"row {number}: {reason}"
    return None


def _text_row(text: Text, ids: list[int], tokenizer: TextTokenizer, tally: Tally) -> tuple[_AnyIds, Mask]:
    """BOS if the tokenizer starts texts with it (never twice), the document, EOS; all of it is a target."""
    bos, eos = tokenizer.token_id("bos_token"), tokenizer.token_id("eos_token")
    if tokenizer.adds_bos and bos is not None and ids[:1] != [bos]:
        ids = [bos, *ids]
    if text.ends and eos is None:
        tally.note(NO_END, text.row)
    if text.ends and eos is not None and ids[-1:] != [eos]:
        ids = [*ids, eos]
    if mark := foreign_mark(text.document, tokenizer.knows_mark):
        tally.note(FOREIGN_MARKS, text.row, mark)
    if mark := control_token(text.document, tokenizer.special_pattern):
        tally.note(CONTROL_IN_DOCUMENT, text.row, mark)
    return np.array(ids, dtype=np.int64), np.ones(len(ids), dtype=np.bool_)


def _token_range(text: str, span: Range, encoding: Encoding) -> Range:
    """Tokens of a range of characters.

    A token across its start or end counts as inside if the part outside is white space (a tokenizer joins the
    prompt's last space to the answer's first word, and some end marks take the line feed after them).
    """
    start = _token_at(text, span[0], encoding)
    chars = encoding.token_to_chars(start) if start < len(encoding) else None
    if chars and chars[0] < span[0] and text[chars[0] : span[0]].strip():
        start += 1
    end = _token_at(text, span[1], encoding)
    chars = encoding.token_to_chars(end) if end < len(encoding) else None
    if chars and chars[0] < span[1] and not text[span[1] : chars[1]].strip():
        end += 1
    return start, max(start, end)


def _token_at(text: str, at: int, encoding: Encoding) -> int:
    """The first token that holds character `at`, or the next one that any token holds; the count of all at the end."""
    while at < len(text):
        token = encoding.char_to_token(at)
        if token is not None:
            return token
        at += 1
    return len(encoding)
