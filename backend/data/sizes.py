"""How large examples are before they are tokenised: UTF-8 bytes and turns."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from backend.data.conversation import Conversation, Example, Text, message_bytes

Sizes = npt.NDArray[np.int32]
"""Columns TOTAL, SCORED, PROMPT (before the first scored turn) and the turns of each, one line a row."""
TOTAL, SCORED, PROMPT, TURNS, SCORED_TURNS, PROMPT_TURNS = range(6)
COLUMNS = 6


def size_of(example: Example) -> tuple[int, int, int, int, int, int]:
    """UTF-8 bytes and turns of one example."""
    if isinstance(example, Text):
        size = utf8_bytes(example.document)
        return size, size, 0, 1, 1, 0
    return _conversation_size(example)


def _conversation_size(example: Conversation) -> tuple[int, int, int, int, int, int]:
    total = scored = scored_turns = prompt = prompt_turns = 0
    for at, message in enumerate(example.messages):
        size = message_bytes(message) if message.extra else utf8_bytes(message.content)
        if message.scored:
            if not scored_turns:
                prompt, prompt_turns = total, at + 1
            scored += size
            scored_turns += 1
        total += size
    extra = sum(len(str(tool)) for tool in example.tools)
    return total + extra, scored, prompt + extra, len(example.messages), scored_turns, prompt_turns


def utf8_bytes(text: str) -> int:
    """The size of a text."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
