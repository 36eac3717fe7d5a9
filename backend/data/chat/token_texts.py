"""What each token of a row stands for, as text."""

from __future__ import annotations

from collections.abc import Sequence

from backend.data.chat.tokenizer import TextTokenizer

REPLACEMENT = "\ufffd"
MOST_BYTES = 4
"""Tokens that one UTF-8 character is made of, at the most."""


def token_texts(tokenizer: TextTokenizer, ids: Sequence[int]) -> list[str]:
    """The text that each token adds, so that all of them joined are the decoded row.

    Decoding a token alone would lose its leading space, or a character of several tokens, so each is decoded together
    with the token before it. The last token of such a character has its text, the ones before it have none.
    """
    texts = [""] * len(ids)
    start = read = 0
    for at in range(len(ids)):
        before, now = tokenizer.decode(ids[start:read]), tokenizer.decode(ids[start : at + 1])
        is_part = now.endswith(REPLACEMENT) and at - read + 1 < MOST_BYTES and at + 1 < len(ids)
        if not is_part:
            texts[at] = now[len(before) :]
            start, read = read, at + 1
    return texts
