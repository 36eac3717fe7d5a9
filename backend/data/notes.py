"""Findings of what is in the rows and of what the chat template makes of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from backend.data.constants import constants
from backend.data.conversation import Conversation, Example, Text, answer_of
from backend.data.finding import Finding, count_of, finding
from backend.data.odd_answers import odd_answers
from backend.data.preflight.cuts import percent
from backend.data.report import Counts

SPOKEN = re.compile(
    r"### ?(?:Human|Assistant|Instruction|Response|User|Question)\b|^<?(?:human|bot|assistant|user|gpt|q|question)>?: "
    r"|<\|(?:im_start|start_header_id|user|assistant)\|>|\[/INST\]",
    re.IGNORECASE | re.MULTILINE,
)
"""What stands before the turns of conversations that were written as one text."""
TURNS = re.compile(r"""['"]?\b(?:role|from)['"]?\s*[:=]\s*['"]?(?:user|human|system|assistant|gpt)\b""")
"""Turns that were written as text in some notation that is not read, such as YAML or a class's own."""
TURNS_WITHIN = 50
"""So near to the beginning of a text the first of them stands."""
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
    found += odd_answers(examples)
    found += _spoken_documents(examples)
    return found


def length_findings(tokens: Counts, numbers: Counts, context: int) -> list[Finding]:
    """Rows longer than the model's context; `numbers` are the rows that `tokens` belong to."""
    is_over = tokens > context
    over = int(is_over.sum())
    if not over:
        return []
    are = "is" if over == 1 else "are"
    share = np.maximum(tokens - context, 0).sum() / tokens.sum()
    text = f"{count_of(over)} {are} cut at the model's context of {context:,} tokens: {percent(share)} of all tokens"
    text += f" are lost; the longest has {tokens.max():,}."
    return [finding("warns", "over-context", text, "shorten or divide them", numbers[is_over].tolist())]


def _duplicates(examples: Sequence[Example], digests: Sequence[bytes]) -> Iterator[Finding]:
    rows: dict[bytes, int] = {}
    repeats = []
    for example, digest in zip(examples, digests, strict=True):
        if rows.setdefault(digest, example.row) != example.row:  # a document's own pieces may be alike
            repeats.append(example.row - 1)
    repeats = list(dict.fromkeys(repeats))
    if not repeats:
        return
    total = len({example.row for example in examples})
    many = len(repeats) > constants().duplicate_fraction * total
    verb = "repeats" if len(repeats) == 1 else "repeat"
    text = f"{count_of(len(repeats))} of {total:,} {verb} another row: remove the copies, or they count double."
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


def _spoken_documents(examples: Sequence[Example]) -> Iterable[Finding]:
    """Documents that are conversations in plain words, or in a notation: their questions are learned as well."""
    texts = [x for x in examples if isinstance(x, Text)]
    written = [(x.row - 1, match.group()) for x in texts if (match := TURNS.search(x.document[:TURNS_WITHIN]))]
    if len(written) > len(examples) // 2:
        text = (
            f"Texts of {count_of(len(written))} are lists of turns in a notation that is not read ({written[0][1]}): "
        )
        text += "they are trained on as documents, names of keys and all."
        fix = "write each as a list of objects with role and content"
        yield finding("warns", "turns-as-documents", text, fix, [row for row, _ in written])
        return
    spoken = [(x.row - 1, match.group()) for x in texts if (match := SPOKEN.search(x.document))]
    if len(spoken) > len(examples) // 2:
        text = f"Texts of {count_of(len(spoken))} are conversations, with marks such as {spoken[0][1].strip()!r}: "
        text += "they are trained on as documents, the questions too."
        fix = "write them as messages with role and content to train on the answers alone"
        yield finding("notes", "conversations-as-documents", text, fix, [row for row, _ in spoken])
