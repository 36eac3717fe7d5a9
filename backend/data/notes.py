"""Sentences about data: what would waste a run (problems), and what was chosen or assumed (notes)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from backend.data.constants import constants
from backend.data.conversation import Conversation, Example, answer_of
from backend.data.masking import (
    CALLS_AS_TEXT,
    SYSTEM_MOVED,
    TEXT_LEFT_OUT,
    THINKING_LEFT_OUT,
    TOOLS_LEFT_OUT,
    TURNS_LEFT_OUT,
)
from backend.data.tokens import NO_END, Tally

PLACEHOLDER = re.compile(r"\{\{ ?[A-Za-z_]{2,30} ?\}\}")
STAND_IN = (
    "The model has no chat template: turns are written as `User: ...` and `Assistant: ...`, saved with the result."
)
NOTES = {
    SYSTEM_MOVED: "The chat template has no place for a system prompt: it stands before the question in {rows}.",
    CALLS_AS_TEXT: "The chat template knows no tool calls: they are written as JSON in {rows}.",
}
PROBLEMS = {
    TOOLS_LEFT_OUT: "The chat template knows no tools: their descriptions are left out of {rows}.",
    TURNS_LEFT_OUT: "The chat template leaves turns out of {rows} (tool results, as a rule).",
    THINKING_LEFT_OUT: "The chat template leaves thinking that you gave out of {rows}: it will not be learned.",
    TEXT_LEFT_OUT: "The chat template leaves the text beside tool calls out of {rows}: it will not be learned.",
    NO_END: "No end-of-turn token follows the answer in {rows}: the model will not learn to stop.",
}


def rows(count: int) -> str:
    """A count of rows in words: `1 row`, `4,800 rows`."""
    return "1 row" if count == 1 else f"{count:,} rows"


def tally_notes(tally: Tally, stand_in: bool) -> tuple[list[str], list[str]]:
    """Notes and problems of tokenising; `stand_in` where template.py's fallback was used."""
    notes = [text.format(rows=rows(tally.notes[key])) for key, text in NOTES.items() if tally.notes[key]]
    problems = [text.format(rows=rows(tally.notes[key])) for key, text in PROBLEMS.items() if tally.notes[key]]
    if tally.refused:
        problems.append(f"The chat template refuses {rows(tally.refused)}, left out; {tally.refusal}.")
    return ([STAND_IN, *notes] if stand_in else notes), problems


def content_problems(examples: Sequence[Example], empty: int, duplicates: int) -> list[str]:
    """Problems of the rows themselves, before any tokenizer."""
    limits = constants()
    total = len(examples)
    found = []
    if empty:
        found.append(f"{rows(empty)} without an answer or any text {'is' if empty == 1 else 'are'} left out.")
    if duplicates > limits.duplicate_fraction * total:
        found.append(f"{rows(duplicates)} of {total:,} repeat another row: remove the copies, or they count double.")
    if total < limits.few_rows:
        found.append(f"Only {rows(total)}: improvement usually shows from {limits.few_rows} on.")
    found += _same_answers(examples)
    found += _placeholders(examples)
    return found


def length_problems(longest: int, over: int, context: int) -> list[str]:
    """Rows longer than the model's context."""
    if not over:
        return []
    are = "is" if over == 1 else "are"
    return [f"{rows(over)} {are} cut at the model's context of {context:,} tokens; the longest has {longest:,}."]


def _same_answers(examples: Sequence[Example]) -> Iterable[str]:
    chats = [example for example in examples if isinstance(example, Conversation)]
    if len(chats) < 5:
        return
    answer, times = Counter(answer_of(x).strip() for x in chats).most_common(1)[0]
    if times == len(chats):
        yield "Every row has the same answer: the model would learn to say nothing else."
    elif times > len(chats) // 2 and len(answer) > 40:
        yield f"{rows(times)} of {len(chats):,} have the same long answer."


def _placeholders(examples: Sequence[Example]) -> Iterable[str]:
    found = [match for example in examples if (match := PLACEHOLDER.search(answer_of(example)))]
    if found and len(found) > len(examples) // 20:
        count = rows(len(found))
        yield f"Answers of {count} hold unfilled placeholders such as {found[0].group()}: the model will say them."
