"""Answers with content that no answer should have: found if enough rows have it, and not in clean rows."""

from __future__ import annotations

import pytest

from backend.data.conversation import Conversation, Message
from backend.data.odd_answers import odd_answers

ASKED = "How many apples has basket {}?"


def chats(*answers: str) -> list[Conversation]:
    return [
        Conversation((Message("user", ASKED.format(at)), Message("assistant", answer, True)), (), at + 1)
        for at, answer in enumerate(answers)
    ]


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        ("answers-repeat-questions", ASKED),
        ("answers-begin-with-questions", ASKED + "\nIt has three."),
        ("gaps-as-text", "NaN"),
        ("answers-without-end-of-thinking", "<think>\nIt has three, no, wait"),
        ("answers-of-thinking-alone", "<think>\nIt has three.\n</think>"),
        ("answers-without-begin-of-thinking", "It has three.\n</think>\nThree."),
        ("answers-as-python-prints", "['It has three.']"),
        ("answers-as-python-prints", '["It\'s three."]'),
        ("answers-as-python-prints", "b'It has three.'"),
        ("answers-begin-with-labels", "Assistant: It has three."),
        ("answers-begin-with-labels", "### Response:\nIt has three."),
        ("spaces-around-answers", " It has three."),
        ("escaped-text", "It has three.\\nAnd more."),
        ("escaped-text", "It has &lt;three&gt;."),
    ],
)
def test_an_oddity_of_all_answers_is_found_once(kind: str, answer: str) -> None:
    (found,) = odd_answers(chats(*(answer.format(at) for at in range(4))))
    assert (found.kind, found.rows) == (kind, (0, 1, 2, 3)) and "4 rows" in found.text


def test_clean_answers_have_none() -> None:
    answers = (
        "It has three.",
        "Two.\nOne more.",
        "$x \\neq y$ and $\\nabla f$",
        "<b>4 &amp; 5</b>",
        "None",
        "",
        "<think>3</think>It has three.",
        "AI is it.",
        "The response: x",
        "Use <think> here",
        "['one', 'two']",
        '["one"]',
    )
    assert list(odd_answers(chats(*answers))) == []


def test_a_single_gap_is_enough_and_a_single_space_is_not() -> None:
    (found,) = odd_answers(chats("It has three.", "nan", "Two ", "Four."))
    assert (found.kind, found.rows) == ("gaps-as-text", (1,))


def test_questions_that_are_gaps_are_found() -> None:
    answer = Message("assistant", "It has three.", True)
    asked = [
        Conversation((Message("user", text), answer), (), at + 1) for at, text in enumerate((ASKED, "nan", "None"))
    ]
    (found,) = odd_answers(asked)
    assert (found.kind, found.rows) == ("gaps-as-questions", (1,))
