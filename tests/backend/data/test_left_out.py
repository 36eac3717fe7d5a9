from __future__ import annotations

from typing import Any

import pytest

from backend.data.conversation import Text
from backend.errors import UserError
from tests.backend.data.examples import BOT, USER, found, kinds, read

GOOD = {"messages": [USER, BOT]}
BAD = {"messages": [{"role": "narrator", "content": "x"}, BOT]}


def test_a_few_rows_that_can_not_be_read_are_left_out_and_said() -> None:
    examples = read(*[GOOD] * 30, BAD, *[GOOD] * 30)
    finding = found(examples, "unreadable-rows")
    assert (len(examples.examples), examples.empty) == (60, 1)
    assert (finding.severity, finding.rows, finding.row_count) == ("warns", (30,), 1)
    assert finding.text.startswith("1 row can't be read and is left out; row 31, turn 1 has the role 'narrator'")


@pytest.mark.parametrize(
    ("cell", "sentence"),
    [
        ([USER, "hello"], "row 31, turn 2 is no object with role and content ('hello')"),
        ("hello", "row 31: 'messages' holds no list of turns ('hello')"),
        ({"id": 3}, "row 31: 'messages' holds no list of turns ({'id': 3})"),
    ],
)
def test_a_cell_that_holds_no_turns_is_named(cell: object, sentence: str) -> None:
    for mapping in ((), ("messages=messages",)):
        examples = read(*[GOOD] * 30, {"messages": cell}, mapping=mapping)
        assert sentence in found(examples, "unreadable-rows").text


@pytest.mark.parametrize(("good", "bad", "is_read"), [(95, 5, True), (94, 6, False)])
def test_many_rows_that_can_not_be_read_stop_with_the_first(good: int, bad: int, is_read: bool) -> None:
    rows = [*[GOOD] * good, *[BAD] * bad]
    if is_read:
        assert found(read(*rows), "unreadable-rows").row_count == bad
        return
    with pytest.raises(UserError, match=r"^row 95, turn 1 has the role 'narrator'.*\(6 of 100 rows can't be read\)$"):
        read(*rows)


def test_a_hundred_first_rows_that_can_not_be_read_stop() -> None:
    with pytest.raises(UserError, match=r"^row 1, turn 1 .*\(none of the first 100 rows can be read\)$"):
        read(*[BAD] * 100, *[GOOD] * 3000)
    assert found(read(*[BAD] * 99, *[GOOD] * 3000), "unreadable-rows").row_count == 99


@pytest.mark.parametrize(
    ("row", "mark"),
    [
        ({"prompt": "q", "completion": "a"}, "label"),
        ({"messages": [USER, BOT]}, "label"),
        ({"instruction": "q", "output": "a"}, "kto_tag"),
    ],
)
@pytest.mark.parametrize(("good", "bad"), [(True, False), ("true", "False")])
def test_rows_marked_as_undesired_are_left_out_and_said(
    row: dict[str, Any], mark: str, good: object, bad: object
) -> None:
    examples = read({**row, mark: good}, {**row, mark: bad}, {**row, mark: good})
    assert [x.row for x in examples.examples] == [1, 3]
    assert kinds(examples) == ["undesired-rows"]
    assert found(examples, "undesired-rows").rows == (1,)


def test_rows_of_which_nothing_is_said_are_named() -> None:
    rows = [{"prompt": "q", "completion": "a", "label": mark} for mark in (True, None, False)]
    examples = read(*rows)
    assert [x.row for x in examples.examples] == [1, 2]
    assert found(examples, "marked-rows").rows == (1,)


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"prompt": "q", "completion": "a", "label": False}, "all 1 rows of rows.jsonl are undesired by 'label'"),
        (
            {"prompt": "", "completion": "a"},
            "without a question; to train on the answers as plain text, say --mapping text=",
        ),
        ({"messages": [{**USER, "content": ""}, BOT]}, "the answers alone, say --mapping messages=messages"),
        (
            {"messages": [{**USER, "train": True}, {**BOT, "train": False}]},
            "no answer of rows.jsonl is to be trained on",
        ),
        (
            {"messages": [USER, {**BOT, "content": " "}]},
            "all 1 rows of rows.jsonl are empty (row 1 has no answer in 'messages'); fill",
        ),
    ],
)
def test_when_no_row_is_left_the_reason_is_said(row: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError) as raised:
        read(row)
    assert raised.value.field == "data"
    assert sentence in str(raised.value)


def test_answers_without_questions_are_trained_on_when_asked_for() -> None:
    assert read({"prompt": "", "completion": "a"}, mapping=("text=completion",)).examples == [Text("a", 1)]
    assert len(read({"messages": [{**USER, "content": ""}, BOT]}, mapping=("messages=messages",)).examples) == 1


def test_each_reason_has_a_finding_with_its_rows() -> None:
    quiet = {"messages": [USER, {**BOT, "train": False}]}
    silent = {"messages": [USER, {**BOT, "content": ""}]}
    alone = {"messages": [BOT]}
    examples = read(GOOD, quiet, silent, alone, GOOD, quiet)
    assert examples.empty == 4
    assert {x.kind: x.rows for x in examples.findings} == {
        "unscored-rows": (1, 5),
        "empty-rows": (2,),
        "rows-without-question": (3,),
    }
