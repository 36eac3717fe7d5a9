"""Sentences about data: what would waste a run (problems), and what was chosen or assumed (notes)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from backend.data.constants import constants
from backend.data.conversation import Conversation, Example, answer_of
from backend.data.tallied import tally_findings
from backend.data.tokens import Tally

PLACEHOLDER = re.compile(r"\{\{ ?[A-Za-z_]{2,30} ?\}\}")


def rows(count: int) -> str:
    """A count of rows in words: `1 row`, `4,800 rows`."""
    return "1 row" if count == 1 else f"{count:,} rows"


def tally_notes(tally: Tally, stand_in: bool) -> tuple[list[str], list[str]]:
    """Notes and problems of tokenising; `stand_in` where template.py's fallback was used."""
    found = tally_findings(tally, stand_in)
    problems = [x.text for x in found if x.severity != "notes"]
    return [x.text for x in found if x.severity == "notes"], problems


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
