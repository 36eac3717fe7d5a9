"""What one rendering shows of all conversations of its shape, so that the next ones need no marks.

A shape is the sequence of roles, and which of the turns are targets. Once the borders of one conversation are known,
a further one has them at the same distance from its texts if the template writes the same around them: its rendering
is put together from the texts and what stood between them, and must be equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from backend.data.chat.pieces import THINK_CLOSE, Note, Range
from backend.data.conversation import Message

Key = tuple[tuple[str, bool], ...]
MOST_SHAPES = 256


class Place(NamedTuple):
    """A position: characters after the end of text `literal - 1`."""

    literal: int
    offset: int


class Shape(NamedTuple):
    """What a template writes around the texts of a conversation."""

    literals: tuple[str, ...]
    """Before the first text, between them, and after the last."""
    spans: tuple[tuple[Place, Place], ...]
    notes: tuple[Note, ...]
    needs_eos: bool


class Known(NamedTuple):
    """What is known of a conversation by its shape."""

    spans: tuple[Range, ...]
    notes: tuple[Note, ...]
    needs_eos: bool


def key_of(messages: Sequence[Message], targets: Sequence[int]) -> Key | None:
    """The shape of a conversation; None if it has more than plain texts."""
    chosen = set(targets)
    for message in messages:
        content = message.content
        if message.extra or not content or content.isspace() or THINK_CLOSE in content:
            return None
    return tuple((message.role, at in chosen) for at, message in enumerate(messages))


def learned(
    text: str, texts: Sequence[Range], spans: Sequence[Range], notes: tuple[Note, ...], needs_eos: bool
) -> Shape | None:
    """The shape of a conversation whose texts stand at `texts`; None if a span begins or ends within one of them."""
    edges = [0, *(edge for span in texts for edge in span), len(text)]
    if any(a > b for a, b in pairwise(edges)):
        return None
    literals = tuple(text[start:end] for start, end in zip(edges[::2], edges[1::2], strict=True))

    def place(at: int) -> Place | None:
        bounds = zip(edges[::2], edges[1::2], strict=True)
        return next((Place(n, at - start) for n, (start, end) in enumerate(bounds) if start <= at <= end), None)

    places = []
    for start, end in spans:
        begins, ends = place(start), place(end)
        if begins is None or ends is None:
            return None
        places.append((begins, ends))
    return Shape(literals, tuple(places), notes, needs_eos)


def known(shape: Shape, text: str, messages: Sequence[Message]) -> Known | None:
    """The borders of a conversation of this shape; None if its rendering is not what the shape says."""
    contents = [message.content for message in messages]
    if _joined(shape, contents) != text:
        contents = [content.strip() for content in contents]
        if _joined(shape, contents) != text:
            return None
    starts = [0]
    for literal, content in zip(shape.literals, contents, strict=False):
        starts.append(starts[-1] + len(literal) + len(content))
    spans = tuple((starts[a.literal] + a.offset, starts[b.literal] + b.offset) for a, b in shape.spans)
    return Known(spans, shape.notes, shape.needs_eos)


def _joined(shape: Shape, contents: Sequence[str]) -> str:
    parts = [shape.literals[0]]
    for content, literal in zip(contents, shape.literals[1:], strict=True):
        parts += [content, literal]
    return "".join(parts)
