"""The tokens that end an answer: the end-of-turn token, and those that ended the base model's texts."""

from __future__ import annotations

from typing import Any

from backend.data.chat.template import Refusal, Turns
from backend.data.chat.tokenizer import TextTokenizer

_QUESTION, _ANSWER = "\ue0a1q\ue0a2", "\ue0a1a\ue0a2"
"""Stand-ins for texts, of the private use area: no template holds them."""


def end_of_turn(tokenizer: TextTokenizer) -> int | None:
    """The id of the mark that ends an answer, or of EOS if the template writes none; None without either."""
    asked, answered = {"role": "user", "content": _QUESTION}, {"role": "assistant", "content": _ANSWER}
    after = _after_answer(tokenizer, [asked, answered]).rstrip()
    marks = list(tokenizer.special_pattern.finditer(after))
    if not marks:
        return tokenizer.token_id("eos_token")
    found = marks[0]
    if marks[-1].end() == len(after):  # among several marks, the last one that earlier answers have too
        within = _after_answer(tokenizer, [asked, answered, asked])
        found = next((mark for mark in reversed(marks) if within.startswith(after[: mark.end()])), marks[-1])
    return tokenizer.encode(found.group()).ids[0]


def _after_answer(tokenizer: TextTokenizer, turns: Turns) -> str:
    try:
        return tokenizer.render(turns).partition(_ANSWER)[2]
    except Refusal:
        return ""


def end_tokens(tokenizer: TextTokenizer, *known: Any) -> list[int]:
    """Ids that end an answer, the end of a turn first; `known` are `eos_token_id` of the base's settings.

    A base model's settings name the end of its texts alone: tuned on chat, it would write on after its answer.
    """
    ends = [end_of_turn(tokenizer), tokenizer.token_id("eos_token")]
    for value in known:
        ends += value if isinstance(value, list) else [value]
    return list(dict.fromkeys(x for x in ends if isinstance(x, int)))
