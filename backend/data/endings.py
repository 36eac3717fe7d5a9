"""Where an answer ends: at the token that ends a turn, and where the base model's texts did."""

from __future__ import annotations

from typing import Any

from backend.data.template import Refusal
from backend.data.tokenizer import TextTokenizer

_QUESTION, _ANSWER = "\ue0a1q\ue0a2", "\ue0a1a\ue0a2"
"""Stand-ins for texts, of the private use area: no template holds them."""


def end_of_turn(tokenizer: TextTokenizer) -> int | None:
    """The id of the mark that ends an answer, or of EOS where the template writes none; None without either."""
    turns = [{"role": "user", "content": _QUESTION}, {"role": "assistant", "content": _ANSWER}]
    try:
        after = tokenizer.render(turns).rpartition(_ANSWER)[2]
    except Refusal:
        after = ""
    marks = [token for token in tokenizer.encode(after).ids if token in tokenizer.special_ids]
    return marks[0] if marks else tokenizer.token_id("eos_token")


def end_tokens(tokenizer: TextTokenizer, *known: Any) -> list[int]:
    """Ids that end an answer, the end of a turn first; `known` are `eos_token_id` of the base's settings.

    A base model's settings name the end of its texts alone: tuned on chat, it would write on after its answer.
    """
    ends = [end_of_turn(tokenizer), tokenizer.token_id("eos_token")]
    for value in known:
        ends += value if isinstance(value, list) else [value]
    return list(dict.fromkeys(x for x in ends if isinstance(x, int)))
