from __future__ import annotations

from typing import Any

import pytest

from backend.data.conversation import Conversation, Message, Text
from backend.errors import UserError
from tests.backend.data.examples import BOT, USER, A, Q, read, turns


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ({"instruction": "q", "output": "a"}, "alpaca"),
        ({"instruction": "q", "input": "", "output": "a"}, "alpaca"),
        ({"prompt": "q", "completion": "a"}, "prompt-completion"),
        ({"Question": "q", "Answer": "a", "id": 7}, "prompt-completion"),
        ({"input": "q", "output": "a"}, "prompt-completion"),
        ({"query": "q", "response": "a"}, "prompt-completion"),
        ({"prompt": [USER], "completion": [BOT]}, "prompt-completion"),
        ({"prompt": [USER], "chosen": [USER, BOT], "rejected": [USER, BOT]}, "messages"),
        ({"prompt": "q", "chosen": [USER, BOT], "rejected": [USER, BOT]}, "messages"),
        ({"messages": [USER, BOT]}, "messages"),
        ({"conversations": [USER, BOT]}, "messages"),
        ({"anything": [USER, BOT], "id": 3}, "messages"),
        ({"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]}, "sharegpt"),
    ],
)
def test_usual_shapes_are_found(row: dict[str, Any], kind: str) -> None:
    found = read(row)
    assert found.layout.kind == kind
    assert found.examples == [Conversation((Q, A), (), 1)]


@pytest.mark.parametrize("row", [{"text": "a story"}, {"body": "a story"}, {"anything": "a story"}])
def test_plain_text_is_found(row: dict[str, Any]) -> None:
    assert read(row).examples == [Text("a story", 1)]
    assert read(row).layout.kind == "text"


def test_alpaca_input_system_and_history() -> None:
    row = {"instruction": "q", "input": "x", "output": "a", "system": "s", "history": [["q0", "a0"]]}
    assert turns(row) == (
        Message("system", "s"),
        Message("user", "q0"),
        Message("assistant", "a0", scored=True),
        Message("user", "q\nx"),
        A,
    )


def test_sharegpt_with_tools() -> None:
    row = {
        "conversations": [
            {"from": "human", "value": "q"},
            {"from": "function_call", "value": '{"name": "f", "arguments": "{\\"n\\": 1}"}'},
            {"from": "observation", "value": "3"},
            {"from": "gpt", "value": "a"},
            {"from": "human", "value": "thanks"},
        ],
        "system": "s",
        "tools": '[{"name": "f", "parameters": {}}]',
    }
    example = read(row).examples[0]
    assert isinstance(example, Conversation)
    call = {"tool_calls": [{"type": "function", "function": {"name": "f", "arguments": {"n": 1}}}]}
    assert example.messages == (  # turns after the last answer are not used
        Message("system", "s"),
        Q,
        Message("assistant", "", scored=True, extra=call, is_null=True),
        Message("tool", "3"),
        A,
    )
    assert example.tools == ({"type": "function", "function": {"name": "f", "parameters": {}}},)


def test_a_call_that_is_no_json_stays_text() -> None:
    row = {"conversations": [{"from": "human", "value": "q"}, {"from": "function_call", "value": "f(1)"}]}
    assert turns(row)[1] == Message("assistant", "f(1)", scored=True)


def test_openai_weights_and_parts() -> None:
    parts = [{"type": "text", "text": "a"}]
    quiet = {"role": "assistant", "content": "no", "weight": 0}
    messages = [USER, quiet, {"role": "user", "content": "q"}, {"role": "assistant", "content": parts, "train": True}]
    assert turns({"messages": messages}) == (Q, Message("assistant", "no"), Q, A)
    assert turns({"messages": [{"role": "developer", "content": "s"}, USER, BOT]})[0] == Message("system", "s")


@pytest.mark.parametrize("name", ["weight", "loss_weight", "train", "trainable", "training"])
@pytest.mark.parametrize("value", [0, 1, False, True])
def test_every_name_for_a_turn_s_weight_is_honoured(name: str, value: int | bool) -> None:
    row = {"messages": [USER, {"role": "assistant", "content": "no", name: value}, USER, BOT]}
    assert turns(row)[1] == Message("assistant", "no", scored=bool(value))


def test_a_mapping_changes_what_was_found() -> None:
    row = {"question": "x", "answer": "y", "ask": "q", "say": "a", "story": "t"}
    found = read(row, mapping=("prompt=ask", "completion=say"))
    assert found.examples == [Conversation((Q, A), (), 1)]
    assert found.layout.mapping == {"prompt": "ask", "completion": "say"}
    assert turns(row, mapping=("completion=say",)) == (Message("user", "x"), A)
    assert read(row, mapping=("text=story",)).examples == [Text("t", 1)]
    preferred = {"prompt": [USER], "chosen": [USER, BOT]}  # it repeats the prompt
    assert turns(preferred, mapping=("prompt=prompt", "completion=chosen")) == (Q, A)
    assert turns(row, mapping=("input=ask",))[0] == Message("user", "x\nq")


@pytest.mark.parametrize(
    ("mapping", "sentence"),
    [
        ("promt=question", "'promt' is no role (did you mean 'prompt'?)"),
        ("prompt=qestion", "no column 'qestion' (did you mean 'question'?)"),
        ("prompt", "write role=column"),
        ("messages=question", "holds no turns"),
    ],
)
def test_a_wrong_mapping_is_said(mapping: str, sentence: str) -> None:
    with pytest.raises(UserError) as raised:
        read({"question": "q", "answer": "a"}, mapping=(mapping,))
    assert raised.value.field == "mapping"
    assert sentence in str(raised.value)


def test_half_a_mapping_names_the_whole_one() -> None:
    with pytest.raises(UserError, match=r"--mapping prompt=foo --mapping completion=bar$") as raised:
        read({"foo": "q", "bar": "a"}, mapping=("prompt=foo",))
    assert raised.value.field == "mapping"
    assert read({"foo": "q", "bar": "a"}, mapping=("prompt=foo", "completion=bar")).examples


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([{"question": "q", "answer": "a"}, {"question": "q"}], "row 2 has no 'answer' (it has question)"),
        ([{"question": "q", "answers": {"text": ["a"]}}], "row 1: 'answers' holds an object where text was expected"),
        ([{"foo": "q", "bar": "a"}], "(foo, bar); say which is which: --mapping prompt=foo --mapping completion=bar"),
        ([{"foo": 1}], "(foo); say which is which with --mapping role=column"),
        ([{"messages": [USER, {"role": "robot", "content": "a"}]}], "row 1, turn 2 has the role 'robot'"),
        ([{"messages": [USER, {"role": "assistant"}]}], "row 1, turn 2 has no 'content' (it has role)"),
        ([{"messages": [USER, BOT]}, {"id": 3}], "row 2 has no 'messages' (it has id)"),
        ([{"messages": [USER, {**BOT, "weight": 0.5}]}], "row 1, turn 2 has weight 0.5"),
        ([{"messages": [{"role": "user", "content": [{"type": "image"}]}, BOT]}], "holds a part of type 'image'"),
        ([{"messages": [USER, BOT], "tools": "{"}], "row 1 has tools that are no JSON list"),
        ([{"question": "q", "answer": None}], "all 1 rows of rows.jsonl are empty"),
    ],
)
def test_a_row_that_is_wrong_is_named(rows: list[dict[str, Any]], sentence: str) -> None:
    with pytest.raises(UserError) as raised:
        read(*rows)
    assert raised.value.field == "data"
    assert sentence in str(raised.value)


def test_empty_rows_are_left_out_and_counted() -> None:
    rows = [{"question": "q", "answer": "a"}, {"question": " ", "answer": "a"}, {"question": "q", "answer": ""}]
    found = read(*rows)
    assert (len(found.examples), found.empty) == (1, 2)


def test_numbers_are_answers_too() -> None:
    assert turns({"question": "6 x 7?", "answer": 42})[1].content == "42"
