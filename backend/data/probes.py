"""Questions of the data that the model is asked before and after training."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from backend.data.chat.masking import prompt_turns
from backend.data.chat.tally import Tally
from backend.data.chat.template import Refusal
from backend.data.chat.tokenizer import TextTokenizer
from backend.data.chat.tokens import Ids, tokenize_all
from backend.data.conversation import Example, Text, answer_of
from backend.data.formats import Examples
from backend.data.tokenizing import WHOLE

PROBES = 3


@dataclass(frozen=True)
class Probe:
    """A question of the held-out rows, to ask the model before and after training."""

    messages: tuple[dict[str, Any], ...]
    """The turns before the last answer, as chat templates take them; empty for plain text."""
    ids: Ids
    """Their tokens with the generation prompt, where the model goes on."""
    prompt: str
    """What to show: the last question, or the text's beginning."""
    answer: str
    """What the data answers."""


def probes(
    found: Examples, places: Iterable[int], tokenizer: TextTokenizer, max_length: int, count: int = PROBES
) -> tuple[Probe, ...]:
    """Up to `count` questions that leave half of `max_length` for the answer; the shortest if none does."""
    examples = _at(found, list(dict.fromkeys(places))[: max(10 * PROBES, 2 * count)])
    made = [probe for example in examples if (probe := _probe(example, tokenizer)) is not None]
    short = [probe for probe in made if len(probe.ids) <= max_length // 2]
    return tuple(short[:count] or sorted(made, key=lambda probe: len(probe.ids))[:1])


def _at(found: Examples, places: Sequence[int]) -> list[Example]:
    """The examples at ascending `places`; no row behind the last of them is read."""
    wanted, at = set(places), 0
    chosen: list[Example] = []
    for example in found:
        if len(chosen) == len(wanted):
            break
        if not isinstance(example, int):
            chosen += [example] if at in wanted else []
            at += 1
    return chosen


def _probe(example: Example, tokenizer: TextTokenizer) -> Probe | None:
    if isinstance(example, Text):
        return _text_probe(example, tokenizer)
    try:
        turns, tools = prompt_turns(example, tokenizer)
        text = tokenizer.render(turns, tools, add_generation_prompt=True) if turns else ""
    except Refusal:
        return None
    if not text:
        return None
    asked = next((turn["content"] for turn in reversed(turns) if turn["role"] == "user"), turns[-1]["content"])
    return Probe(tuple(turns), np.array(tokenizer.encode(text).ids, np.int32), asked, answer_of(example))


def _text_probe(text: Text, tokenizer: TextTokenizer) -> Probe | None:
    """The first third of a document, at most 64 tokens; the rest is what it goes on with."""
    (row,) = tokenize_all([text], tokenizer, WHOLE, Tally())
    if row is None or len(row.ids) < 6:
        return None
    start = min(len(row.ids) // 3, 64)
    prompt = tokenizer.decode(row.ids[:start].tolist())
    return Probe((), row.ids[:start], prompt, tokenizer.decode(row.ids[start:].tolist()))
