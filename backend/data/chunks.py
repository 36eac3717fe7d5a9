"""Examples in chunks of bounded size, to be tokenised together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from backend.data.conversation import Example, Text

CHUNK = 2000
"""Examples that are tokenised at once; progress is said in between."""
CHUNK_CHARACTERS = 1_000_000
"""Text that is tokenised at once: an encoding takes a hundred times the memory of its tokens."""


def chunks(found: Iterable[Example | int]) -> Iterator[list[Example]]:
    """The examples in order; numbers, which stand for rows without an example, are skipped."""
    chunk: list[Example] = []
    size = 0
    for example in found:
        if isinstance(example, int):
            continue
        chunk.append(example)
        size += characters(example)
        if len(chunk) >= CHUNK or size >= CHUNK_CHARACTERS:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def characters(example: Example) -> int:
    """Characters of its texts."""
    return len(example.document) if isinstance(example, Text) else sum(len(x.content or "") for x in example.messages)
