"""Findings of what is in the rows and of what the chat template makes of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from backend.data.constants import constants
from backend.data.conversation import Conversation, Example, answer_of
from backend.data.finding import Finding, count_of, finding
from backend.data.report import Counts

PLACEHOLDER = re.compile(r"\{\{ ?[A-Za-z_]{2,30} ?\}\}")


def content_findings(examples: Sequence[Example], empty: Sequence[int], digests: Sequence[bytes]) -> list[Finding]:
    """Findings of the rows themselves, before any tokenizer. `empty` are numbers of rows that make no example."""
    limits = constants()
    found = []
    if empty:
        text = f"{count_of(len(empty))} without an answer or any text {'is' if len(empty) == 1 else 'are'} left out."
        found.append(finding("warns", "empty-rows", text, "fill or remove them", empty))
    found += _duplicates(examples, digests)
    if len(examples) < limits.few_rows:
        text = f"Only {count_of(len(examples))}: improvement usually shows from {limits.few_rows} on."
        found.append(finding("warns", "few-rows", text, "collect more rows"))
    found += _same_answers(examples)
    found += _placeholders(examples)
    return found


def length_findings(tokens: Counts, context: int) -> list[Finding]:
    """Rows longer than the model's context."""
    over = int((tokens > context).sum())
    if not over:
        return []
    are = "is" if over == 1 else "are"
    text = f"{count_of(over)} {are} cut at the model's context of {context:,} tokens; the longest has {tokens.max():,}."
    return [Finding("warns", "over-context", text, "shorten or divide them", row_count=over)]


def _duplicates(examples: Sequence[Example], digests: Sequence[bytes]) -> Iterator[Finding]:
    seen: set[bytes] = set()
    repeats = []
    for example, digest in zip(examples, digests, strict=True):
        if digest in seen:
            repeats.append(example.row - 1)
        seen.add(digest)
    if not repeats:
        return
    many = len(repeats) > constants().duplicate_fraction * len(examples)
    verb = "repeats" if len(repeats) == 1 else "repeat"
    text = f"{count_of(len(repeats))} of {len(examples):,} {verb} another row: remove the copies, or they count double."
    yield finding("warns" if many else "notes", "duplicates", text, "remove the copies", repeats)


def _same_answers(examples: Sequence[Example]) -> Iterable[Finding]:
    chats = [example for example in examples if isinstance(example, Conversation)]
    if len(chats) < 5:
        return
    answers = [answer_of(x).strip() for x in chats]
    answer, times = Counter(answers).most_common(1)[0]
    fix = "map the column that holds the answers: --mapping completion=COLUMN"
    if times == len(chats):
        text = "Every row has the same answer: the model would learn to say nothing else."
        yield Finding("warns", "same-answers", text, fix, row_count=times)
    elif times > len(chats) // 2 and len(answer) > 40:
        rows = [chat.row - 1 for chat, said in zip(chats, answers, strict=True) if said == answer]
        text = f"{count_of(times)} of {len(chats):,} have the same long answer."
        yield finding("warns", "same-answers", text, "remove most of them", rows)


def _placeholders(examples: Sequence[Example]) -> Iterable[Finding]:
    found = [(x.row - 1, match.group()) for x in examples if (match := PLACEHOLDER.search(answer_of(x)))]
    if found and len(found) > len(examples) // 20:
        count = count_of(len(found))
        text = f"Answers of {count} hold unfilled placeholders such as {found[0][1]}: the model will say them."
        yield finding("warns", "placeholders", text, "fill them in", [row for row, _ in found])
