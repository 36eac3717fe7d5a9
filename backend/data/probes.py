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
from backend.plan.prompts import TOGETHER

PROBES = TOGETHER


@dataclass(frozen=True)
class Probe:
    """A question of the held-out rows, to ask the model before and after training."""

    messages: tuple[dict[str, Any], ...]
    """The turns before the last answer, as chat templates take them; empty for plain text."""
    ids: Ids
    """Their tokens with the generation prompt, where the model goes on."""
    prompt: str
    """What to show: the last question, or the text's beginning."""
    answer: str | None
    """The data's answer; None for the user's own questions."""


def probes(
    found: Examples, places: Iterable[int], tokenizer: TextTokenizer, max_length: int, count: int | None = None
) -> tuple[Probe, ...]:
    """Up to `count` questions that leave half of `max_length` for the answer; the shortest if none does.

    Without a count, a few different ones for the user to read.
    """
    most = PROBES if count is None else count
    examples = _at(found, list(dict.fromkeys(places))[: max(10 * PROBES, 2 * most)])
    made = [probe for example in examples if (probe := _probe(example, tokenizer)) is not None]
    short = [probe for probe in made if len(probe.ids) <= max_length // 2]
    if count is None:
        short = list({probe.ids.tobytes(): probe for probe in reversed(short)}.values())[::-1]
    return tuple(short[:most] or sorted(made, key=lambda probe: len(probe.ids))[:1])


def own_probes(
    prompts: Iterable[str], like: Sequence[Probe], tokenizer: TextTokenizer, max_length: int
) -> tuple[tuple[Probe, ...], tuple[str, ...]]:
    """The user's own questions, asked like those of the data; and those that are left out.

    Questions that take more than half of `max_length`, or that the chat template refuses, are left out. `like`:
    questions of the data. If they begin with a system turn, so do the user's; in documents a question is a beginning.
    """
    made = {prompt: _own_probe(prompt, like[0] if like else None, tokenizer) for prompt in prompts}
    fitting = {prompt: probe for prompt, probe in made.items() if probe and len(probe.ids) <= max_length // 2}
    return tuple(fitting.values()), tuple(prompt for prompt in made if prompt not in fitting)


def _own_probe(prompt: str, like: Probe | None, tokenizer: TextTokenizer) -> Probe | None:
    if like is not None and not like.messages:
        (row,) = tokenize_all([Text(prompt, ends=False)], tokenizer, WHOLE, Tally())
        return None if row is None else Probe((), row.ids, prompt, None)
    system = [turn for turn in (like.messages[:1] if like else ()) if turn["role"] == "system"]
    turns = [*system, {"role": "user", "content": prompt}]
    try:
        text = tokenizer.render(turns, (), add_generation_prompt=True)
    except Refusal:
        return None
    return Probe(tuple(turns), np.array(tokenizer.encode(text).ids, np.int32), prompt, None)


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
    """The first third of a document, at most 64 tokens; the rest is its continuation."""
    (row,) = tokenize_all([text], tokenizer, WHOLE, Tally())
    if row is None or len(row.ids) < 6:
        return None
    start = min(len(row.ids) // 3, 64)
    prompt = tokenizer.decode(row.ids[:start].tolist())
    return Probe((), row.ids[:start], prompt, tokenizer.decode(row.ids[start:].tolist()))
