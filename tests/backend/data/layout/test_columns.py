from __future__ import annotations

import json
from typing import Any

import pytest

from backend.data.conversation import Conversation, Message, Text
from backend.data.layout.columns import layout
from backend.errors import UserError
from tests.backend.data.examples import BOT, GPT, HUMAN, USER, A, Q, found, kinds, read, turns

NAN = float("nan")
ASK, SAY = "How many apples are in it?", "There are three apples in it."


@pytest.mark.parametrize(
    "first",
    [
        {"messages": None},
        {"messages": []},
        {"messages": [USER]},
        {"messages": [USER, {"role": "assistant", "content": None}]},
    ],
)
def test_a_first_row_without_an_answer_does_not_decide(first: dict[str, Any]) -> None:
    examples = read(first, *[{"messages": [USER, BOT]}] * 2)
    assert [x.row for x in examples.examples] == [2, 3]
    assert found(examples, "empty-rows").rows == (0,)


@pytest.mark.parametrize("column", ["system", "tools", "input"])
def test_columns_that_come_after_the_head_are_used(column: str) -> None:
    rows = [{"instruction": "q", "output": "a"}] * 3
    columns = ["instruction", "output", column]
    assert layout(rows, columns).mapping[column] == column
    assert layout(rows, columns, [f"{column}={column}"]).mapping[column] == column


def test_a_late_column_of_text_that_is_not_used_is_named() -> None:
    chosen = layout([{"question": "q", "answer": "a"}], ["question", "answer", "remark"])
    assert [(x.kind, x.text, x.fix) for x in chosen.findings] == [
        ("unused-columns", "Column 'remark' is not used.", "--mapping input=remark")
    ]
    assert chosen.unused == ("remark",)


def test_context_beside_a_question_is_taken_and_said() -> None:
    examples = read({"question": "q", "context": "c", "answer": "a"})
    assert examples.examples == [Conversation((Message("user", "q\nc"), A), (), 1)]
    assert "'context' is written below the question" in found(examples, "input-column").text
    assert turns({"prompt": "q", "input": "x", "response": "a"}) == (Message("user", "q\nx"), A)


def test_context_that_is_no_text_is_not_taken() -> None:
    assert turns({"question": "q", "context": {"title": ["x"]}, "answer": "a"}) == (Q, A)


def test_of_two_answers_the_fuller_one_is_taken_and_said() -> None:
    examples = read({"problem": ASK, "solution": SAY, "answer": "3", "source": "own"})
    assert examples.layout.mapping == {"prompt": "problem", "completion": "solution"}
    finding = found(examples, "several-answers")
    assert finding.text == ("The answer is taken from 'solution' (29 characters on average), not from 'answer' (1).")
    assert finding.fix == "--mapping completion=answer"
    assert read({"problem": ASK, "solution": SAY, "answer": "3"}, mapping=("completion=answer",)).findings == ()


def test_text_that_is_not_used_is_named_with_a_mapping_that_uses_it() -> None:
    row = {"question": "q", "answer": "a", "Complex_CoT": "I think so.", "persona": "A pirate speaks.", "id": "x1"}
    examples = read(row)
    warned, noted = [x for x in examples.findings if x.kind == "unused-columns"]
    assert (warned.severity, noted.severity) == ("warns", "notes")
    assert warned.fix == "--mapping thinking=Complex_CoT or --mapping system=persona"
    assert (noted.text, noted.fix) == ("Column 'id' is not used.", "")
    assert examples.layout.unused == ("Complex_CoT", "persona", "id")
    thought = turns(row, mapping=("thinking=Complex_CoT", "system=persona"))
    assert thought[0] == Message("system", "A pirate speaks.")
    assert thought[-1].extra == {"reasoning_content": "I think so."}


def test_a_column_that_repeats_what_is_used_is_not_named() -> None:
    rendered = f"### Question: {ASK}\n### Answer: {SAY}"
    assert read({"question": ASK, "answer": SAY, "text": rendered}).findings == ()
    assert read({"prompt": "q", "messages": [USER, BOT]}).findings == ()


def test_clean_sets_have_no_finding() -> None:
    assert read({"instruction": "q", "input": "", "output": "a"}).findings == ()
    assert read({"conversations": [HUMAN, GPT], "tools": "[]"}).findings == ()
    assert read({"text": "a story"}).findings == ()


@pytest.mark.parametrize(
    ("row", "mapping"),
    [
        ({"prompt": "q", "chosen": "a", "rejected": "no"}, {"prompt": "prompt", "completion": "chosen"}),
        ({"question": "q", "pos_answer": "a", "neg_answer": "no"}, {"prompt": "question", "completion": "pos_answer"}),
        ({"prompt": "q", "chosenResponse": "a", "rejectedResponse": "no"}, None),
        ({"input": {"messages": [USER], "tools": []}, "preferred_output": [BOT], "non_preferred_output": [BOT]}, None),
        ({"chosen": [USER, BOT], "rejected": [USER, BOT], "score_chosen": 8.0}, {"messages": "chosen"}),
        ({"prompt": [USER], "chosen": [BOT], "rejected": [BOT]}, {"prompt": "prompt", "completion": "chosen"}),
        ({"conversations": [HUMAN], "chosen": GPT, "rejected": GPT}, None),
        ({"conversations": [HUMAN], "chosen": "a", "rejected": "no"}, None),
        ({"chosen": "\n\nHuman: q\n\nAssistant: a", "rejected": "\n\nHuman: q\n\nAssistant: no"}, None),
        ({"prompt": "\n\nHuman: q\n\nAssistant:", "chosen": "a", "rejected": "no"}, None),
    ],
)
def test_preference_data_trains_on_the_better_answers_and_says_so(
    row: dict[str, Any], mapping: dict[str, str] | None
) -> None:
    examples = read(row)
    assert examples.examples == [Conversation((Q, A), (), 1)]
    assert mapping is None or examples.layout.mapping == mapping
    assert kinds(examples) == ["preference-data"]
    assert found(examples, "preference-data").severity == "warns"


def test_a_ranking_s_conversation_goes_on_with_the_better_answer() -> None:
    row = {"conversations": [HUMAN, GPT, HUMAN], "chosen": GPT, "rejected": {"from": "gpt", "value": "no"}}
    assert turns(row) == (Q, Message("assistant", "a"), Q, A)


def test_rejected_answers_beside_whole_conversations_are_named() -> None:
    examples = read({"messages": [USER, BOT], "rejected_response": "no"})
    assert kinds(examples) == ["preference-data"]
    assert "'rejected_response' are not used" in examples.findings[0].text


def test_transcripts_become_turns() -> None:
    text = "\n\nHuman: Hi\n\nAssistant: Hello:\n\n- you\n\nHuman: q\n\nAssistant: a"
    assert turns({"chosen": text, "rejected": text})[:2] == (
        Message("user", "Hi"),
        Message("assistant", "Hello:\n\n- you", scored=True),
    )
    call = 'ASSISTANT: <functioncall> {"name": "f", "arguments": \'{"n": 1}\'} <|endoftext|>'
    chat = f"USER: q\n\n\n{call}\n\n\nFUNCTION RESPONSE: 3\n\n\nASSISTANT: a <|endoftext|>\n\n\n"
    calls = {"tool_calls": [{"type": "function", "function": {"name": "f", "arguments": {"n": 1}}}]}
    assert turns({"system": "SYSTEM: s", "chat": chat}) == (
        Message("system", "s"),
        Q,
        Message("assistant", "", True, calls, is_null=True),
        Message("tool", "3"),
        A,
    )


@pytest.mark.parametrize(
    "encoded",
    [
        json.dumps([USER, BOT]),
        repr([USER, BOT]),
        f"[{USER}\n {BOT}]",  # as NumPy prints an array of objects
        f"array([{USER},\n       {BOT}], dtype=object)",  # as Python prints it within other data
        json.dumps(json.dumps([USER, BOT])),
        [json.dumps(USER), json.dumps(BOT)],
        json.dumps({"messages": [USER, BOT]}),
        json.dumps([{"human": "q", "assistant": "a"}]),
    ],
)
@pytest.mark.parametrize("column", ["messages", "text", "anything"])
def test_turns_that_are_stored_as_text_are_decoded(encoded: str | list[str], column: str) -> None:
    assert read({"id": 1, column: encoded}).examples == [Conversation((Q, A), (), 1)]
    assert turns({"id": 1, column: encoded}, mapping=(f"messages={column}",)) == (Q, A)


def test_prompt_and_completion_that_are_stored_as_text_are_decoded() -> None:
    assert turns({"prompt": json.dumps([USER]), "completion": json.dumps([BOT])}) == (Q, A)


def test_a_text_with_a_class_is_taken_as_a_question_and_said() -> None:
    examples = read({"text": "The soup was awful.", "label": "negative"})
    assert examples.layout.mapping == {"prompt": "text", "completion": "label"}
    assert found(examples, "text-as-question").severity == "warns"
    assert read({"text": "t", "label": 1, "label_text": "bad"}).layout.mapping["completion"] == "label_text"


@pytest.mark.parametrize(("label", "what"), [("1", "numbers"), (0, "numbers"), (True, "truth values")])
def test_classes_that_are_numbers_are_asked_about(label: object, what: str) -> None:
    row = {"text": "The soup was awful.", "label": label}
    with pytest.raises(UserError) as raised:
        read(row)
    assert f"column 'label' holds {what} for classes ({label!r})" in str(raised.value)
    assert "--mapping prompt=text --mapping completion=label" in str(raised.value)
    assert turns(row, mapping=("prompt=text", "completion=label"))[0].content == "The soup was awful."
    assert read(row, mapping=("text=text",)).examples == [Text("The soup was awful.", 1)]


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"prompt": "How many?"}, "there are only prompts (column 'prompt') and no answers to learn"),
        ({"prompt": "How many?", "source": "own", "id": 3}, "train on the prompts as plain text with --mapping text=p"),
        ({"prompt": [USER]}, "column 'prompt' has no assistant turn in the first row"),
        ({"messages": [USER]}, "column 'messages' has no assistant turn in the first row"),
        ({"messages": [BOT]}, "or train on the answers alone with --mapping messages=messages"),
        ({"dialog": ["q", "a"]}, "if questions and answers alternate in them, say --mapping messages=dialog"),
        ({"chosen": "a b", "rejected": "c d"}, "columns 'chosen' and 'rejected' hold the better and the worse answers"),
        (
            {"prompt": "q", "response_a": "a", "response_b": "b", "winner": "a"},
            "'response_a' and 'response_b' hold two",
        ),
        (
            {"history": ASK, "human_ref_A": "a", "human_ref_B": "b"},
            "--mapping prompt=history --mapping completion=human_",
        ),
        ({"question": ASK, "final_answer": 3}, "--mapping prompt=question --mapping completion=final_answer"),
        ({"question": "q", "support": SAY, "correct_answer": "a"}, "--mapping completion=correct_answer"),
        ({"conversation_a": [USER, BOT], "conversation_b": [USER, BOT]}, "with --mapping messages=conversation_a"),
        ({"id": "x", "foo": "A question?", "bar": "An answer it is."}, "--mapping prompt=foo --mapping completion=bar"),
        ({"foo": SAY * 3, "score": 3, "bar": ASK}, "--mapping prompt=bar --mapping completion=foo"),
        (
            {"from": "human", "value": "q"},
            "each row holds one turn (from, value) and no column says which turns belong",
        ),
    ],
)
def test_what_can_not_be_told_is_asked_in_one_sentence(row: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError) as raised:
        read(row)
    assert raised.value.field == "data"
    assert sentence in str(raised.value)


def test_the_mappings_that_are_asked_for_work() -> None:
    assert read({"prompt": "How many?"}, mapping=("text=prompt",)).examples == [Text("How many?", 1)]
    assert turns({"messages": [BOT]}, mapping=("messages=messages",)) == (A,)
    assert turns({"dialog": ["q", "a"]}, mapping=("messages=dialog",)) == (Q, A)
    rivals = {"prompt": "q", "response_a": "a", "response_b": "b"}
    assert turns(rivals, mapping=("prompt=prompt", "completion=response_a")) == (Q, A)


def test_short_answers_to_lists_of_turns_are_warned_of() -> None:
    assert kinds(read({"prompt": [USER], "solution": "3"})) == ["reference-answers"]


def test_ratings_and_marks_are_named() -> None:
    rated = read(*({"prompt": "q", "response": "a", "rating": rating} for rating in (1, 5)))
    assert "'rating' rates the rows (1 to 5)" in found(rated, "rated-rows").text
    marked = read(*({"prompt": "q", "response": "a", "is_correct": mark} for mark in (True, False)))
    assert found(marked, "marked-rows").rows == (1,)
    numbers = read(*({"prompt": "q", "completion": "a", "label": mark} for mark in (1, 0)))
    assert found(numbers, "marked-rows").rows == (1,)


@pytest.mark.parametrize(("column", "values"), [("label", ("good", "bad")), ("response_quality", ("low", "high"))])
def test_words_that_rate_the_rows_are_named(column: str, values: tuple[str, str]) -> None:
    examples = read(*({"prompt": "q", "completion": "a", column: value} for value in values))
    assert kinds(examples) == ["marked-rows"]
    assert f"({', '.join(sorted(values))})" in examples.findings[0].text


def test_a_second_system_prompt_is_said() -> None:
    own = {"messages": [{"role": "system", "content": "s"}, USER, BOT]}
    assert kinds(read({**own, "system": "other"}, {**own, "system": "s"}, {**own, "system": None})) == [
        "two-system-prompts"
    ]


def test_lists_of_choices_are_named() -> None:
    examples = read({"question": "q", "choices": ["a", "b"], "answer": "a"})
    assert (found(examples, "unused-columns").text, found(examples, "unused-columns").severity) == (
        "Column 'choices' is not used.",
        "warns",
    )


def test_a_column_beside_documents_is_named_with_a_mapping_that_works() -> None:
    row = {"text": "A story of a cat.", "category": "animals"}
    mapping = ("prompt=text", "completion=category")
    assert found(read(row), "unused-columns").fix == "--mapping prompt=text --mapping completion=category"
    assert turns(row, mapping=mapping)[0].content == "A story of a cat."


def test_objects_that_only_name_a_model_are_no_turns() -> None:
    assert read({"question": "q", "answer": "a", "meta": {"model": "m"}}).findings == ()
    assert read({"question": "q", "answer": "a", "meta": {"output": "x", "tokens": 3}}).findings == ()


def test_numbers_as_answers_are_said() -> None:
    assert found(read({"question": "q", "answer": True}), "numbers-as-text").severity == "notes"
    floats = read({"question": "q", "answer": None}, {"question": "q", "answer": 2.0})
    assert "the model learns to say 2.0" in found(floats, "numbers-as-text").text
    infinite = found(read({"question": "q", "answer": float("inf")}), "numbers-as-text")
    assert infinite.severity == "notes", "infinity is no whole number"


def test_several_layouts_in_one_file_are_all_read() -> None:
    rows: list[dict[str, Any]] = [
        {"instruction": "q", "output": "a"},
        {"messages": [USER, BOT]},
        {"conversations": [HUMAN, GPT]},
    ]
    examples = read(*rows)
    assert examples.examples == [Conversation((Q, A), (), row) for row in (1, 2, 3)]
    assert found(examples, "mixed-layouts").row_count == 2
    assert read(*rows, mapping=("messages=messages",)).examples == examples.examples


@pytest.mark.parametrize(
    "row",
    [
        {"image": "img/0.png", "conversations": [HUMAN, GPT]},
        {"images": [{"bytes": b"x", "path": None}], "messages": [USER, BOT]},
        {"image": {"path": "a.png"}, "text": "a cat"},
        {"image": "COCO_0123", "question": "q", "answer": "a"},
        {"image_base64": "A" * 300, "question": "q", "answer": "a"},
        {"images_of_it": ["a.jpg"], "question": "q", "answer": "a"},
    ],
)
def test_rows_with_images_are_refused(row: dict[str, Any]) -> None:
    plain = {key: None if key.startswith("image") else value for key, value in row.items()}
    with pytest.raises(UserError, match=r"^row 2 has an image or the like in 'image"):
        read(plain, row)
    assert read(plain).examples


def test_a_caption_is_text() -> None:
    assert kinds(read({"image_caption": "A basket of fruit.", "question": "q", "answer": "a"})) == ["unused-columns"]


def test_marks_of_images_are_refused_and_a_word_of_html_is_not() -> None:
    marked = {"conversations": [{"from": "human", "value": "<image>\nWhat is it?"}, GPT]}
    for mapping in ((), ("messages=conversations",)):
        with pytest.raises(UserError, match=r"^row 1 has the mark <image>"):
            read(marked, mapping=mapping)
    asked = {"question": "What does <image> do in SVG?", "answer": "a"}
    assert len(read(asked, *[{"question": "q", "answer": "a"}] * 3).examples) == 4
    with pytest.raises(UserError, match=r"^row 1 has the mark <image>"):  # the mark is in most rows
        read({"question": "Look at <image> and say what it is.", "answer": "a"})
    with pytest.raises(UserError, match=r"^row 1 has the mark <image 1>"):
        read({"question": "<image 1> What is it?", "answer": "a"})
    with pytest.raises(UserError, match=r"^row 1 has an image or the like in 'screenshot'"):
        read({"question": "q", "answer": "a", "screenshot": "shots/1.png"})


@pytest.mark.parametrize("first", [0, 1])
def test_rows_of_one_turn_each_are_joined(first: int) -> None:
    def row(chat: int, at: int) -> dict[str, Any]:
        return {"conversation_id": chat, "turn": at, **(USER, BOT, USER, BOT)[at], "system": "s"}

    rows = [row(chat, at) for chat in (7, 8) for at in ((0, 1, 2, 3), (1, 0, 3, 2))[first]]
    examples = read(*rows)
    assert examples.examples == [
        Conversation((Message("system", "s"), Q, A, Q, A), (), 1),
        Conversation((Message("system", "s"), Q, A, Q, A), (), 5),
    ]


@pytest.mark.parametrize(
    ("column", "cells"),
    [
        ("timestamp", ("2024-01-02T10:00:00Z", "2024-01-02T09:59:58Z")),
        ("created_at", ("2024-01-02 10:00:00", "2024-01-01 11:00:00")),
        ("create_time", (1700000002.5, 1700000001)),
        ("turn_idx", (1, 0)),
    ],
)
def test_turns_are_put_in_order_by_their_time_or_number(column: str, cells: tuple[Any, Any]) -> None:
    rows = [{"chat_id": 1, **turn, column: cell} for turn, cell in zip((BOT, USER), cells, strict=True)]
    assert read(*rows).examples == [Conversation((Q, A), (), 1)]
    kept = [
        {"chat_id": 1, **turn, "timestamp": cell} for turn, cell in zip((USER, BOT), ("noon", cells[1]), strict=True)
    ]
    assert read(*kept).examples == [Conversation((Q, A), (), 1)]


def test_a_conversation_that_comes_back_is_refused() -> None:
    rows = [{"chat_id": chat, "role": "user", "content": "q"} for chat in (1, 1, 2, 1)]
    with pytest.raises(UserError, match=r"^row 4 goes on with the conversation '1' .* sort the rows by 'chat_id'$"):
        read(*rows)


def test_rows_of_weight_0_and_of_a_test_split_are_said() -> None:
    weighed = read(*[{"prompt": "q", "completion": "a", "weight": n % 2} for n in range(4)])
    assert found(weighed, "marked-rows").rows == (0, 2)
    split = read(*[{"prompt": "q", "completion": "a", "split": ("train", "test")[n % 2]} for n in range(4)])
    one = found(split, "rows-of-another-split")
    assert (one.severity, one.rows) == ("warns", (1, 3)) and "'test'" in one.text
    assert kinds(split) == ["rows-of-another-split"]
    assert "rows-of-another-split" not in kinds(read({"prompt": "q", "completion": "a", "split": "test"}))


def test_the_gaps_of_a_table_are_empty_and_no_text() -> None:
    assert turns({"instruction": "q", "input": float("nan"), "output": "a"}) == (Q, A)
    examples = read({"instruction": "q", "output": float("nan")}, {"instruction": "q", "output": "a"})
    assert [x.row for x in examples.examples] == [2]


def test_a_null_among_the_turns_is_passed_over() -> None:
    assert turns({"messages": [USER, None, BOT]}) == (Q, A)


def test_a_mapping_is_shown_as_a_shell_takes_it() -> None:
    with pytest.raises(UserError) as raised:
        read({"what they asked": ASK, "what we said": SAY})
    assert "--mapping 'prompt=what they asked' --mapping 'completion=what we said'" in str(raised.value)


def test_history_of_turns_stands_before_the_question() -> None:
    row = {"instruction": "q", "output": "a", "history": [{"role": "user", "content": "h"}, BOT]}
    assert turns(row) == (Message("user", "h"), A, Q, A)


EARLIER = (Message("user", "h"), A)


@pytest.mark.parametrize("column", ["chat_history", "conversation_history", "previous_messages", "context"])
def test_what_was_said_before_is_not_taken_instead_of_question_and_answer(column: str) -> None:
    before = [{"role": "user", "content": "h"}, BOT]
    for said in (before, [*before, USER]):
        assert turns({column: said, "question": "q", "answer": "a"}) == (*EARLIER, Q, A)
    for beside in ({"title": "t"}, {"question": "q", "answer": "a"}):
        assert turns({column: [USER, BOT], **beside}) == (Q, A)


def test_earlier_questions_and_answers_as_pairs() -> None:
    assert turns({"chat_history": [["h", "a"]], "question": "q", "answer": "a"}) == (*EARLIER, Q, A)
    visits = {"visit_history": [["h", "a"]], "chat_history": "User: h", "question": "q", "answer": "a"}
    assert turns(visits) == (Q, A)


def test_mappings_of_columns_beside_turns_can_be_followed() -> None:
    pair = {"messages": [USER, BOT], "instruction": ASK, "output": SAY}
    assert found(read(pair), "unused-columns").fix == "--mapping prompt=instruction --mapping completion=output"
    other = {"conversations": [USER, BOT], "conversations_zh": [{"role": "user", "content": ASK}, BOT]}
    assert found(read(other), "unused-columns").fix == "--mapping messages=conversations_zh"


def test_thinking_in_a_list_of_one_text_is_a_warning() -> None:
    row = {"question": ASK, "solution": SAY, "thinking_trajectories": ["First I think about it."]}
    said = found(read(row), "unused-columns")
    assert (said.severity, said.fix) == ("warns", "--mapping thinking=thinking_trajectories")
    (_, answer) = turns(row, mapping=("thinking=thinking_trajectories",))
    assert answer.extra == {"reasoning_content": "First I think about it."}


def test_answers_that_are_tool_calls_become_calls() -> None:
    call = json.dumps([{"name": "f", "arguments": {"x": 1}}])
    (_, answer) = turns({"query": "q", "tools": json.dumps([{"name": "f"}]), "answers": call})
    assert answer.extra["tool_calls"][0]["function"] == {"name": "f", "arguments": {"x": 1}} and answer.scored
    (_, said) = turns({"query": "q", "tools": "[]", "answers": "a"})
    assert said == A


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("flagged", (False, True)),
        ("deleted", (0, 1)),
        ("status", ("approved", "rejected")),
        ("label", (1, -1)),
        ("keep", (True, False)),
    ],
)
def test_rows_that_are_marked_as_bad_are_said(column: str, values: tuple[Any, Any]) -> None:
    examples = read(*[{"prompt": "q", "completion": "a", column: values[n % 2]} for n in range(4)])
    assert kinds(examples) == ["marked-rows"] and repr(column) in found(examples, "marked-rows").text


@pytest.mark.parametrize(("column", "values"), [("selected", (0, 1, 2)), ("label", (-1, 0, 1)), ("keep", (1, 1, 1))])
def test_numbers_that_are_no_marks_of_rows(column: str, values: tuple[int, ...]) -> None:
    assert kinds(read(*[{"prompt": "q", "completion": "a", column: x} for x in values])) == []


def test_answers_that_were_cut_off_are_said() -> None:
    rows = [{"messages": [USER, BOT], "finish_reason": x} for x in ("stop", "length", "stop")]
    said = found(read(*rows), "marked-rows")
    assert "'finish_reason' says of answers that they were cut off (length)" in said.text and said.rows == (1,)
    assert "marked-rows" not in kinds(read(rows[0], rows[2]))


@pytest.mark.parametrize(
    ("column", "fix"),
    [("weight", ""), ("label", ""), ("is_bad", ""), ("reasoning", "--mapping thinking=reasoning")],
)
def test_no_late_mark_of_rows_is_offered_as_a_part_of_the_question(column: str, fix: str) -> None:
    chosen = layout([{"prompt": "q", "response": "a"}], ["prompt", "response", column])
    assert [(x.kind, x.fix) for x in chosen.findings] == [("unused-columns", fix)]


@pytest.mark.parametrize("role", ["input", "system"])
@pytest.mark.parametrize("word", ["nan", "None", "<noinput>", "N/A"])
def test_words_for_nothing_beside_the_question_are_named(role: str, word: str) -> None:
    row = {"instruction": "q", "output": "a", role: "More about it."}
    said = found(read(row, {**row, role: word}, {**row, role: ""}), "gaps-as-text")
    assert (said.severity, said.rows) == ("warns", (1,)) and repr(word) in said.text


@pytest.mark.parametrize("value", ["²", "+-5", "1.2.3", 10**400])
def test_what_is_no_number_to_calculate_with_is_none(value: Any) -> None:
    assert read({"question": "q", "answer": "a", "rating": value}, {"question": "q", "answer": "a", "rating": value})


@pytest.mark.parametrize("value", ["x", None, NAN])
def test_a_turn_without_its_number_is_named(value: object) -> None:
    rows = [{"conversation_id": n // 2, "turn": n % 2, **(USER, BOT)[n % 2]} for n in range(1002)]
    rows[-1]["turn"] = value
    with pytest.raises(UserError, match=f"row 1002 has {value!r} in 'turn', which numbers the turns"):
        read(*rows)


def test_a_turn_of_no_conversation_is_named() -> None:
    rows: list[dict[str, Any]] = [{"conversation_id": n // 2, **(USER, BOT)[n % 2]} for n in range(8)]
    rows[4]["conversation_id"] = rows[5]["conversation_id"] = None
    with pytest.raises(UserError, match="row 5 has nothing in 'conversation_id'"):
        read(*rows)


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"input_ids": [1, 2], "labels": [-100, 2]}, "'input_ids' holds token ids"),
        ({"messages": [{"author": {"role": "user"}, "content": "q"}]}, "'messages' holds .* does not say who speaks"),
        ({"messages": [USER, {"type": "function_call", "name": "f"}, BOT]}, "holds {'type': 'function_call'"),
        ({"conversations": [[HUMAN, GPT]]}, r"'conversations' holds \[{'from': 'human'"),
    ],
)
def test_what_is_no_list_of_turns_is_shown(row: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        read(row)


TOOL = {"type": "function", "function": {"name": "f", "parameters": {}}}


@pytest.mark.parametrize("column", ["available_tools", "apis"])
@pytest.mark.parametrize("cell", [[TOOL], [TOOL["function"]], json.dumps([TOOL]), [json.dumps(TOOL)]])
def test_tools_under_another_name_are_named_with_the_mapping(column: str, cell: Any) -> None:
    row = {"messages": [USER, BOT], column: cell}
    said = found(read(row), "unused-columns")
    assert (said.severity, said.fix) == ("warns", f"--mapping tools={column}")
    (example,) = read(row, mapping=(f"tools={column}",)).examples
    assert isinstance(example, Conversation) and example.tools[0]["function"]["name"] == "f"


@pytest.mark.parametrize(
    ("column", "cell", "severity"),
    [
        ("chat_template_kwargs", {"enable_thinking": False}, "warns"),
        ("documents", [{"text": "Tom has apples."}], "warns"),
        ("metadata", {"source": "a book about apples"}, "notes"),
        ("tags", ["fruit", "long answer"], "notes"),
    ],
)
def test_objects_that_are_not_used_are_named(column: str, cell: Any, severity: str) -> None:
    said = found(read({"messages": [USER, BOT], column: cell}), "unused-columns")
    assert said.severity == severity and repr(column) in said.text


def test_objects_without_sentences_are_not_named() -> None:
    assert kinds(read({"messages": [USER, BOT], "metadata": {"source": "book", "n": 3}, "scores": [1, 2]})) == []


@pytest.mark.parametrize(
    ("column", "values"), [("thumbs_up", (True, False)), ("feedback", (1, -1)), ("feedback", ("positive", "negative"))]
)
def test_what_users_think_of_answers_is_named(column: str, values: tuple[Any, Any]) -> None:
    examples = read(*[{"question": "q", "answer": "a", column: value} for value in values])
    assert set(kinds(examples)) <= {"marked-rows", "rated-rows"} and len(examples.layout.findings) == 1
    prose = [{"question": "q", "answer": "a", column: f"Your answer number {n} was not that good."} for n in range(3)]
    assert kinds(read(*prose)) == ["unused-columns"]


def test_a_few_words_for_nothing_are_a_note() -> None:
    rows = [{"instruction": "q", "input": "x" * (n > 0) or "No input", "output": "a"} for n in range(200)]
    assert found(read(*rows), "gaps-as-text").severity == "notes"


def test_pairs_in_a_few_late_rows_do_not_decide() -> None:
    rows: list[dict[str, Any]] = [{"question": "q", "answer": "a"} for _ in range(1100)]
    rows[1050] = {"question": "q", "answer": "a", "chosen": "b", "rejected": "c"}
    examples = read(*rows)
    assert examples.layout.mapping == {"prompt": "question", "completion": "answer"}
    assert found(examples, "preference-data").severity == "warns"


@pytest.mark.parametrize(("cell", "kind"), [(0, "undesired-rows"), ("no", "undesired-rows"), ("bad", "unmarked-rows")])
def test_marks_of_another_kind_after_the_head_count(cell: object, kind: str) -> None:
    rows: list[dict[str, Any]] = [{"question": "q", "answer": "a", "label": True} for _ in range(1100)]
    rows[1050]["label"] = cell
    assert found(read(*rows), kind).rows == (1050,)


@pytest.mark.parametrize(
    "answer",
    [
        '{"answer": "yes"}',
        '{"query": "apples"}',
        '{"question": "q", "answer": "a"}',
        '[{"input": "1", "output": "2"}]',
        '[{"name": "Tom", "role": "admin"}, {"name": "Ann", "role": "user"}]',
        '{"from": "Berlin", "to": "Bonn"}',
        '{"author": "assistant", "title": "A book"}',
    ],
)
@pytest.mark.parametrize("names", [("question", "answer"), ("instruction", "output"), ("prompt", "completion")])
def test_an_answer_in_json_is_a_text(answer: str, names: tuple[str, str]) -> None:
    examples = read({names[0]: "Give it as JSON.", names[1]: answer, "other": '{"question": "x", "answer": "y"}'})
    (example,) = examples.examples
    assert isinstance(example, Conversation)
    assert [x.content for x in example.messages] == ["Give it as JSON.", answer]
    (reverse,) = read({names[0]: answer, names[1]: "Well."}).examples
    assert isinstance(reverse, Conversation) and reverse.messages[0].content == answer


@pytest.mark.parametrize("answer", [{"answer": "yes"}, {"question": "x", "answer": "y"}])
def test_an_answer_that_is_an_object_is_refused(answer: dict[str, str]) -> None:
    with pytest.raises(UserError, match="'output' holds an object where text was expected"):
        read({"instruction": "Give it as JSON.", "output": answer})
    assert len(turns({"messages": {"question": "q", "answer": "a"}})) == 2


def test_an_answer_of_several_turns_goes_on_from_its_prompt() -> None:
    row = {"prompt": [USER], "completion": [BOT, USER, BOT]}
    assert turns(row) == (Q, A, Q, A)
    assert read(row).layout.mapping == {"prompt": "prompt", "completion": "completion"}


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"translation": {"en": ASK, "de": SAY}}, "write question and answer to columns of their own"),
        ({"id": "7", "translation": {"en": ASK, "de": SAY}}, "column 'translation' holds lists or objects ({'en'"),
        ({"instruction": ASK, "completions": [{"response": SAY, "model": "m"}]}, "if they are in 'completions', write"),
        ({"prompt": ASK, "responses": [SAY, "No."]}, "if they are in 'responses', write one of them"),
        (
            {"question": ASK, "options": ["A) one of them", "B) two"], "rationale": SAY, "correct": "A"},
            "--mapping prompt=question --mapping completion=rationale",
        ),
    ],
)
def test_texts_within_lists_and_objects_are_asked_about(row: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError) as raised:
        read(row)
    assert sentence in str(raised.value)


def test_levels_and_topics_of_prompts_are_no_answers() -> None:
    rows = [{"problem": f"{ASK} {n}", "level": f"Level {n % 3}", "type": "Algebra"} for n in range(9)]
    with pytest.raises(UserError, match=r"there are only prompts .column 'problem'. .* unless those of 'level' are"):
        read(*rows)
    with pytest.raises(UserError, match="--mapping prompt=problem --mapping completion=derivation"):
        read(*[{**row, "derivation": f"{SAY} {n}"} for n, row in enumerate(rows)])


def test_no_mapping_is_offered_that_would_take_the_place_of_another() -> None:
    row = {"instruction": ASK, "context": SAY, "response": SAY, "category": "qa", "reasoning": "off"}
    assert found(read(row), "unused-columns").fix == ""


def test_an_answer_is_never_offered_as_a_system_prompt_or_below_the_question() -> None:
    chat = {"messages": [USER, BOT], "solution": SAY * 2, "prompt": f"User: {ASK}"}
    assert found(read(chat), "unused-columns").fix == "--mapping prompt=prompt --mapping completion=solution"
    two = read(
        {"prompt": ASK, "response1": SAY, "response2": SAY * 2}, mapping=("prompt=prompt", "completion=response1")
    )
    assert found(two, "unused-columns").fix == "--mapping completion=response2"
    pair = {"prompt": ASK, "chosen": SAY, "rejected": ASK, "raw_response": SAY * 2}
    assert found(read(pair), "unused-columns").fix == ""


def test_what_was_written_about_an_answer_is_not_offered_as_a_part_of_the_question() -> None:
    row = {"prompt": ASK, "response": SAY, "critique": "It is a bit short.", "revision": SAY * 2}
    assert found(read(row), "unused-columns").fix == ""
    for column, fix in (("wrong_answer", ""), ("gold", ""), ("gold_answer", "--mapping completion=gold_answer")):
        row = {"prompt": ASK, "response": SAY, column: "Four apples."}
        assert found(read(row), "unused-columns").fix == fix


def test_scores_of_rejected_answers_are_no_rejected_answers() -> None:
    assert kinds(read({"prompt": "q", "chosen": "a", "chosen_score": 1, "rejected_score": 0})) == []
    assert "preference-data" in kinds(read({"prompt": "q", "chosen": "a", "rejected_one": "b"}))


def test_topics_times_and_letters_of_choices_are_no_warning() -> None:
    rows = [
        {"question": f"{ASK} {n}", "answer": SAY, "topic": "Urinary tract", "timestamp": f"2023-04-0{n % 9} 00:02:53"}
        for n in range(20)
    ]
    assert [x.severity for x in read(*rows).findings] == ["notes"]
    letters = [{"question": ASK, "answer": SAY, "correct": "ABCDE"[n % 5], "language_score": n / 9} for n in range(9)]
    assert kinds(read(*letters)) == ["unused-columns"]
