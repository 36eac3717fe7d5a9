"""The first row as the model will see it, with its targets marked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from backend.data.conversation import Conversation, Example, Text
from backend.data.report import Segment
from backend.data.tokenizing import WHOLE, Tokenizing

if TYPE_CHECKING:
    from backend.data.chat.tokenizer import TextTokenizer

ROWS_TO_TRY = 100


def preview(
    examples: Sequence[Example], tokenizer: TextTokenizer | None, how: Tokenizing = WHOLE
) -> tuple[Segment, ...]:
    """Segments of the first row that the template takes; with plain names of the roles if no tokenizer is here."""
    first = examples[0] if examples else None
    if isinstance(first, Text):
        return _document(first, tokenizer)
    if tokenizer is None:
        return plain_segments(first) if first else ()
    return _first_taken(examples[:ROWS_TO_TRY], tokenizer, how)


def _first_taken(examples: Sequence[Example], tokenizer: TextTokenizer, how: Tokenizing) -> tuple[Segment, ...]:
    from backend.data.chat.template import Refusal

    for example in examples:
        if isinstance(example, Text):
            return _document(example, tokenizer)
        try:
            return _exact(example, tokenizer, how)
        except Refusal:
            continue
    return ()


def _document(text: Text, tokenizer: TextTokenizer | None) -> tuple[Segment, ...]:
    bos = tokenizer.special["bos_token"] if tokenizer and tokenizer.adds_bos else ""
    eos = tokenizer.special.get("eos_token", "") if tokenizer and text.ends else ""
    start = (Segment(bos, False),) if bos and not text.document.startswith(bos) else ()
    return (*start, Segment(text.document + ("" if text.document.endswith(eos) else eos), True))


def plain_segments(example: Example) -> tuple[Segment, ...]:
    """Roles and texts, without a chat template."""
    if isinstance(example, Text):
        return (Segment(example.document, True),)
    segments = []
    for message in example.messages:
        segments += [
            Segment(f"{message.role}: ", False),
            Segment(message.content, message.scored),
            Segment("\n", False),
        ]
    return tuple(segments)


def _exact(conversation: Conversation, tokenizer: TextTokenizer, how: Tokenizing) -> tuple[Segment, ...]:
    from backend.data.chat.masking import render
    from backend.data.chat.tokens import token_ranges

    made = render(conversation, tokenizer, how)
    encoding = tokenizer.encode_aliased(made.text)[1] if made.plain else tokenizer.encode(made.text)
    segments = []
    at = 0
    for start, end in token_ranges(made, encoding):
        if start == end:
            continue
        first, last = encoding.offsets[start][0], encoding.offsets[end - 1][1]
        segments += [Segment(made.text[at:first], False), Segment(made.text[first:last], True)]
        at = last
    segments.append(Segment(made.text[at:], False))
    if made.needs_eos:
        segments.append(Segment(tokenizer.special.get("eos_token", ""), True))
    if made.plain:
        segments = [Segment(tokenizer.unaliased(x.text), x.scored) for x in segments]
    return tuple(segment for segment in segments if segment.text)
