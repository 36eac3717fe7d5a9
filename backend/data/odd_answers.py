"""Answers that hold the question, a word for an empty cell, or text that was escaped once too often."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from backend.data.conversation import Conversation, Example, answer_of
from backend.data.finding import Finding, Severity, count_of, finding
from backend.data.layout.names import GAPS

_LINE_ENDS = re.compile(r"\\n(?=[A-Z0-9\s\\*-]|$)")
"""A backslash and an n where a line ends; LaTeX has them before small letters."""
_LABEL = re.compile(
    r"\s*(?:(?:#{2,} ?)?(?:assistant|ai|bot|gpt|chatbot|response)\s*:|#{2,} ?(?:assistant|response)\b|<\|assistant\|>)",
    re.IGNORECASE,
)
"""The name of a speaker before what is said."""
_PRINTED = re.compile(r"\['[^'\n]*'\]|\[\"[^\"\n]*'[^\"\n]*\"\]|b'[^\n]*'|b\"[^\n]*\"")
"""A list of one text, or bytes."""
_ENTITIES = re.compile(r"&(?:lt|gt|amp|quot|apos|nbsp|#39|#x27);")


class Oddity(NamedTuple):
    """What is looked for in an answer to a question."""

    severity: Severity
    kind: str
    text: str
    fix: str
    least: float
    """The finding is reported from this share of the conversations on."""
    has: Callable[[str, str], bool]


ODDITIES = (
    Oddity(
        "warns",
        "answers-repeat-questions",
        "Answers of {rows} only repeat the question.",
        "map the column that holds the answers",
        0.05,
        lambda asked, answer: bool(asked) and answer.strip() == asked,
    ),
    Oddity(
        "warns",
        "answers-begin-with-questions",
        "Answers of {rows} begin with the whole question: the model learns to repeat it.",
        "take the question out of the answers",
        0.5,
        lambda asked, answer: len(asked) > 20 and answer.strip() != asked and answer.lstrip().startswith(asked),
    ),
    Oddity(
        "warns",
        "gaps-as-text",
        "Answers of {rows} are words that tables write for an empty cell, such as NaN.",
        "fill or remove these rows",
        0,
        lambda _, answer: answer.strip().lower() in GAPS,
    ),
    Oddity(
        "warns",
        "answers-without-end-of-thinking",
        "Answers of {rows} begin to think and do not end it with </think>, as answers that were cut off do.",
        "remove these rows, or generate them with more tokens",
        0,
        lambda _, answer: answer.lstrip().startswith("<think>") and "</think>" not in answer,
    ),
    Oddity(
        "warns",
        "answers-of-thinking-alone",
        "Answers of {rows} end with </think>: the model learns to think and say nothing.",
        "write the answer after it, or remove these rows",
        0,
        lambda _, answer: answer.rstrip().endswith("</think>") and answer.lstrip().startswith("<think>"),
    ),
    Oddity(
        "notes",
        "answers-without-begin-of-thinking",
        "Answers of {rows} hold </think> without <think> before it.",
        "write <think> before what is thought, unless the chat template does so itself",
        0.05,
        lambda _, answer: "</think>" in answer and "<think>" not in answer,
    ),
    Oddity(
        "warns",
        "answers-as-python-prints",
        "Answers of {rows} are written as Python prints a list or bytes, such as ['Three']: they are learned so.",
        "write the text alone",
        0.5,
        lambda _, answer: _PRINTED.fullmatch(answer.strip()) is not None,
    ),
    Oddity(
        "warns",
        "answers-begin-with-labels",
        "Answers of {rows} begin with who speaks, such as Assistant:, which the chat template writes itself.",
        "take it out of the answers",
        0.5,
        lambda _, answer: _LABEL.match(answer) is not None,
    ),
    Oddity(
        "warns",
        "gaps-as-questions",
        "Questions of {rows} are words that tables write for an empty cell, such as NaN.",
        "fill or remove these rows",
        0,
        lambda asked, _: asked.lower() in GAPS,
    ),
    Oddity(
        "notes",
        "spaces-around-answers",
        "Answers of {rows} begin or end with white space, which is learned as well.",
        "strip them, unless it is meant",
        0.5,
        lambda _, answer: answer != answer.strip(),
    ),
    Oddity(
        "notes",
        "escaped-text",
        "Answers of {rows} hold line ends or characters that are escaped, such as \\n or &amp;: they are learned so.",
        "unescape them, unless it is meant",
        0.5,
        lambda _, answer: "\n" not in answer and "<" not in answer and _is_escaped(answer),
    ),
)


def odd_answers(examples: Sequence[Example]) -> Iterator[Finding]:
    """One finding for each oddity that enough conversations have."""
    chats = [(x.row - 1, _asked(x), answer_of(x)) for x in examples if isinstance(x, Conversation)]
    for one in ODDITIES:
        rows = [row for row, asked, answer in chats if one.has(asked, answer)]
        if len(rows) > one.least * len(chats):
            yield finding(one.severity, one.kind, one.text.format(rows=count_of(len(rows))), one.fix, rows)


def _asked(chat: Conversation) -> str:
    return next((x.content.strip() for x in reversed(chat.messages) if x.role == "user"), "")


def _is_escaped(answer: str) -> bool:
    return bool(_LINE_ENDS.search(answer) or _ENTITIES.search(answer))
