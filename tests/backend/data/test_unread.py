"""Fields of turns other than role and content: read, refused, or named."""

from __future__ import annotations

import json
from typing import Any

import pytest

from backend.data.conversation import Message
from backend.errors import UserError
from tests.backend.data.examples import BOT, USER, found, kinds, read, turns

THOUGHT = "Let me count them first."


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("images", ["photo.jpg"]),
        ("images", ["aGVsbG8="]),
        ("image", "photo.png"),
        ("image_url", {"url": "https://a.example/b"}),
        ("audio", {"path": "a.wav", "bytes": None}),
    ],
)
def test_images_of_a_turn_are_refused(key: str, value: Any) -> None:
    with pytest.raises(UserError, match=f"row 2, turn 1 has an image or the like in '{key}'"):
        read({"messages": [USER, BOT]}, {"messages": [{**USER, key: value}, BOT]})
    assert kinds(read({"messages": [{**USER, key: None}, BOT]})) == []


@pytest.mark.parametrize(
    ("key", "value", "fix"),
    [
        ("context", "Tom has seven apples.", "content of the turn"),
        ("attachments", [{"name": "a.txt"}], "content of the turn"),
        ("thoughts", THOUGHT, "rename 'thoughts' to reasoning_content"),
        ("reasoning_details", [{"type": "reasoning.text", "text": THOUGHT}], "rename 'reasoning_details'"),
        ("reasoning", [{"type": "summary", "summary": [{"text": THOUGHT}]}], "as one text under reasoning_content"),
        ("refusal", "I will not say that.", "content of the turn"),
        ("text", "Another text than the content.", "content of the turn"),
        ("function_calls", "f(n=1)", "write calls under tool_calls"),
        ("action", {"name": "f", "arguments": {"n": 1}}, "content of the turn"),
    ],
)
def test_texts_under_other_keys_are_named(key: str, value: Any, fix: str) -> None:
    examples = read({"messages": [USER, BOT]}, {"messages": [USER, {**BOT, key: value}]})
    said = found(examples, "unread-keys")
    assert repr(key) in said.text and fix in said.fix
    assert (said.severity, said.rows, said.row_count) == ("warns", (1,), 1)


@pytest.mark.parametrize(
    "beside",
    [
        {"text": "a"},
        {"id": "a long name of a turn", "language": "English", "toxic": False, "at": "2023-04-09 00:02:53"},
        {"weight": 1, "name": "Tom Miller"},
        {"reasoning": THOUGHT, "thinking": THOUGHT, "reasoning_content": THOUGHT},
        {"reasoning_content": [{"type": "text", "text": THOUGHT}]},
        {"tool_call": {"name": "f", "arguments": {}}},
        {"tool_call": False},
        {"annotations": [], "refusal": None, "audio": None},
    ],
)
def test_what_is_read_or_says_nothing_is_not_named(beside: dict[str, Any]) -> None:
    assert kinds(read({"messages": [USER, {**BOT, **beside}]})) == []


def test_what_says_from_where_a_turn_comes_is_a_note() -> None:
    turn = {**USER, "country": "United States", "header": {"agent": "Some browser of theirs"}}
    said = found(read({"messages": [turn, BOT]}), "unread-keys")
    assert said.severity == "notes" and "'country', 'header'" in said.text


def test_thinking_as_a_list_of_texts_is_read() -> None:
    (_, answer) = turns({"messages": [USER, {**BOT, "reasoning_content": [{"type": "text", "text": THOUGHT}]}]})
    assert answer == Message("assistant", "a", True, {"reasoning_content": THOUGHT})


def test_the_key_that_holds_something_is_what_is_said() -> None:
    row = {"messages": [{**USER, "content": "", "value": "q"}, {**BOT, "content": "", "value": "a"}]}
    assert turns(row) == turns({"messages": [USER, BOT]})


def test_marks_on_parts_of_an_answer_are_refused() -> None:
    detail = [{"begin_offset": 0, "end_offset": 1, "train": False}]
    with pytest.raises(UserError, match="turn 2 has train_detail, which marks parts of an answer"):
        read({"messages": [USER, {**BOT, "train_detail": detail}]})
    assert turns({"messages": [USER, {**BOT, "train_detail": None}]})[1].scored


def test_questions_that_are_marked_as_trained_are_noted() -> None:
    marked = read({"messages": [{**USER, "train": True}, {**BOT, "train": True}]})
    assert found(marked, "marked-questions").severity == "notes"
    assert kinds(read({"messages": [{**USER, "weight": 0}, {**BOT, "weight": 1}]})) == []


def test_turns_that_are_stored_as_text_are_looked_through_too() -> None:
    rows = [{"messages": json.dumps([USER, BOT])} for _ in range(1100)]
    rows[1050] = {"messages": json.dumps([USER, {**BOT, "thoughts": THOUGHT}])}
    assert found(read(*rows), "unread-keys").rows == (1050,)


def test_other_marks_of_answers_are_noted() -> None:
    rows = [{"messages": [{**USER, "edited": True}, {**BOT, "edited": edited}]} for edited in (True, False)]
    assert "'edited'" in found(read(*rows), "unread-marks").text
    assert kinds(read(rows[0], rows[0])) == []


@pytest.mark.parametrize("column", ["loss_mask", "weights"])
def test_a_list_of_marks_beside_the_turns_is_named(column: str) -> None:
    said = found(read({"messages": [USER, BOT, USER, BOT], column: [0, 0, 0, 1]}), "marks-of-turns")
    assert said.severity == "warns" and repr(column) in said.text
