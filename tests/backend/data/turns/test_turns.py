from __future__ import annotations

import json
from typing import Any

import pytest

from backend.data.conversation import Conversation, Message, digest
from backend.data.turns.turns import FLAGS, MASKS
from backend.errors import UserError
from tests.backend.data.examples import BOT, GPT, HUMAN, USER, A, Q, found, kinds, read, turns

NAN = float("nan")

CALL = {"type": "function", "function": {"name": "f", "arguments": {"n": 1}}}
CALLED = Message("assistant", "", True, {"tool_calls": [CALL]}, is_null=True)
RESULT = {"role": "tool", "content": "3"}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {}}}


def chat(*between: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [USER, *between, BOT]}


@pytest.mark.parametrize("content", [{"content": None}, {}])
def test_no_content_beside_calls_stays_null(content: dict[str, Any]) -> None:
    called = turns(chat({"role": "assistant", **content, "tool_calls": [CALL]}, RESULT))[1]
    assert called == CALLED
    assert (called.content, called.as_dict()["content"]) == ("", None)


def test_empty_content_beside_calls_stays_empty_and_is_another_example() -> None:
    rows = [chat({"role": "assistant", "content": x, "tool_calls": [CALL]}, RESULT) for x in (None, "")]
    null, empty = read(*rows).examples
    assert isinstance(empty, Conversation)
    assert empty.messages[1].as_dict()["content"] == ""
    assert digest(null) != digest(empty)


def test_text_that_replaces_null_content_is_what_templates_get() -> None:
    assert CALLED._replace(content="f(1)", extra={}).as_dict() == {"role": "assistant", "content": "f(1)"}


@pytest.mark.parametrize("name", ["thinking", "reasoning", "reasoning_content"])
def test_thinking_has_each_name_that_a_template_reads(name: str) -> None:
    answer = turns({"messages": [USER, {**BOT, name: "hm"}]})[1]
    assert answer.as_dict() == {**BOT, "reasoning_content": "hm", "thinking": "hm", "reasoning": "hm"}


@pytest.mark.parametrize(
    "calls",
    [
        [CALL],
        CALL,
        [CALL["function"]],
        [json.dumps(CALL)],
        json.dumps([CALL]),
        json.dumps(CALL),
        [{"function": {"name": "f", "arguments": '{"n": 1}'}}],
        [{"function": json.dumps(CALL["function"])}],
        [{"name": "f", "parameters": {"n": 1}}],
    ],
)
def test_tool_calls_of_every_shape(calls: object) -> None:
    assert turns(chat({"role": "assistant", "content": None, "tool_calls": calls}, RESULT))[1] == CALLED


@pytest.mark.parametrize("key", ["function_calls", "tool_call", "toolCalls", "functionCall"])
def test_calls_of_an_answer_under_less_usual_keys(key: str) -> None:
    given = [CALL["function"]]
    for calls in (given, given[0], json.dumps(given)):
        assert turns(chat({"role": "assistant", "content": None, key: calls}, RESULT))[1] == CALLED
        said = turns(chat({"role": "assistant", "content": "Let me look.", key: calls}, RESULT))[1]
        assert said == Message("assistant", "Let me look.", True, {"tool_calls": [CALL]})
    written = f"<tool_call>{json.dumps(given[0])}</tool_call>"
    assert turns(chat({"role": "assistant", "content": written, key: given}, RESULT))[1].extra == {}
    assert (
        turns(chat({"role": "assistant", "content": None, "tool_calls": [CALL]}, {**RESULT, key: given}))[1] == CALLED
    )


@pytest.mark.parametrize("nothing", ["null", "None", " "])
def test_nothing_that_was_written_as_text(nothing: str) -> None:
    row = {**chat({"role": "assistant", "content": nothing, "tool_calls": [CALL]}, RESULT), "tools": nothing}
    (example,) = read(row).examples
    assert isinstance(example, Conversation) and not example.tools
    assert example.messages[1].content.strip() == ""
    assert turns({"messages": [USER, {**BOT, "tool_calls": nothing.strip()}]}) == (Q, A)


@pytest.mark.parametrize(
    "tools",
    [
        [TOOL],
        TOOL,
        json.dumps([TOOL]),
        json.dumps(TOOL),
        [json.dumps(TOOL)],
        repr([TOOL]),
        [{"name": "f", "parameters": {}}],
        [{"name": "f", "input_schema": {}}],
        [{"functionDeclarations": [{"name": "f", "parameters": {}}]}],
    ],
)
def test_tools_of_every_shape(tools: object) -> None:
    assert read({**chat(), "tools": tools}).examples == [Conversation((Q, A), (TOOL,), 1)]


def test_tools_in_the_system_turn() -> None:
    system = {"role": "system", "content": "s", "tools": json.dumps([TOOL])}
    assert read({"messages": [system, USER, BOT]}).examples == [
        Conversation((Message("system", "s"), Q, A), (TOOL,), 1)
    ]


def test_calls_in_a_row_are_one_turn() -> None:
    call = {"role": "tool_call", "content": '{"name": "f", "arguments": {"n": 1}}'}
    response = {"role": "tool_response", "content": "3"}
    both = CALLED._replace(extra={"tool_calls": [CALL, CALL]})
    tool = Message("tool", "3")
    assert turns(chat(call, call, response, response)) == (Q, both, tool, tool, A)
    assert turns(chat(call, response, call, response)) == (Q, CALLED, tool, CALLED, tool, A)
    said = turns(chat({"role": "assistant", "content": "Let me look."}, call, response))[1]
    assert said == Message("assistant", "Let me look.", True, {"tool_calls": [CALL]})


def test_a_call_that_is_an_object_and_a_result_that_is_one() -> None:
    call = {"from": "function_call", "value": {"name": "f", "arguments": {"n": 1}}}
    row = {"conversations": [HUMAN, call, {"from": "observation", "value": {"n": [1, "é"]}}, GPT]}
    assert turns(row) == (Q, CALLED, Message("tool", '{"n": [1, "é"]}'), A)


@pytest.mark.parametrize("key", ["text", "value", "content"])
@pytest.mark.parametrize("kind", [{"type": "text"}, {"type": "output_text"}, {}])
def test_text_parts_are_read_however_they_are_keyed(key: str, kind: dict[str, str]) -> None:
    assert turns({"messages": [{"role": "user", "content": [{**kind, key: "q"}]}, BOT]}) == (Q, A)


@pytest.mark.parametrize(
    "answers",
    [
        [{"text": "a", "score": 1}, {"text": "b", "score": 0}],
        [{"value": "a", "user_id": "x"}, {"value": "b", "user_id": "y"}],
        [{"text": "a"}, {"text": "b"}],
    ],
)
def test_several_answers_of_a_row_are_not_joined_to_one(answers: list[dict[str, Any]]) -> None:
    with pytest.raises(UserError, match=r"row 1: 'answers' holds a list of 2 objects .* keep one of them, as text"):
        read({"question": "q", "answers": answers})
    assert turns({"question": "q", "answers": answers[:1]}) == (Q, A)
    parts = [{"text": "q", "annotations": []}, {"text": "", "annotations": []}]
    assert turns({"messages": [{"role": "user", "content": parts}, BOT]}) == (Q, A)


def test_content_that_is_one_part_or_has_parts() -> None:
    asked = {"role": "user", "content": {"type": "text", "text": "q"}}
    said = {"role": "assistant", "content": {"content_type": "text", "parts": ["a"]}}
    assert turns({"messages": [asked, said]}) == (Q, A)


def test_parts_of_thinking_calls_and_results() -> None:
    answer = [
        {"type": "thinking", "thinking": "hm", "signature": "x"},
        {"type": "text", "text": "Let me look."},
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"n": 1}},
    ]
    results = [{"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "3"}]}]
    question = {"role": "user", "content": [*results, {"type": "text", "text": "And?"}]}
    extra = {"reasoning_content": "hm", "tool_calls": [{"type": "function", "id": "toolu_1", **CALL}]}
    assert turns(chat({"role": "assistant", "content": answer}, question)) == (
        Q,
        Message("assistant", "Let me look.", True, extra),
        Message("tool", "3", extra={"tool_call_id": "toolu_1"}),
        Message("user", "And?"),
        A,
    )


def test_gemini_s_contents() -> None:
    row = {
        "systemInstruction": {"role": "system", "parts": [{"text": "s"}]},
        "contents": [
            {"role": "user", "parts": [{"text": "q"}]},
            {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"n": 1}}}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"n": 3}}}]},
            {"role": "model", "parts": [{"text": "hm", "thought": True}, {"text": "a"}]},
        ],
    }
    assert turns(row) == (
        Message("system", "s"),
        Q,
        CALLED,
        Message("tool", '{"n": 3}', extra={"name": "f"}),
        A._replace(extra={"reasoning_content": "hm"}),
    )


@pytest.mark.parametrize(
    "listed",
    [
        [{"role": "user", "text": "q"}, {"role": "assistant", "text": "a"}],
        [{"role": "user", "value": "q"}, {"role": "assistant", "value": "a"}],
        [{"from": "User", "content": "q"}, {"from": "Chatbot", "content": "a"}],
        [{"author": "user", "content": "q"}, {"author": "bot", "content": "a"}],
        [{"human": "q", "assistant": "a"}],
        [{"output": "a", "input": "q"}],
        [{"question": "q"}, {"answer": "a"}],
        [[("role", "user"), ("content", "q")], [("role", "assistant"), ("content", "a")]],  # a map of Arrow
    ],
)
def test_turns_of_every_shape(listed: list[Any]) -> None:
    assert turns({"conversation": listed}) == (Q, A)


def test_xtuner_s_objects_of_a_question_and_an_answer() -> None:
    row = {"conversation": [{"system": "s", "input": "q", "output": "a"}, {"input": "q", "output": "a"}]}
    assert turns(row) == (Message("system", "s"), Q, A, Q, A)


@pytest.mark.parametrize("name", FLAGS)
@pytest.mark.parametrize(("value", "scored"), [(0, False), (1, True), (0.0, False), ("false", False), ("True", True)])
def test_flags_say_what_is_trained_on(name: str, value: object, scored: bool) -> None:
    assert turns(chat({"role": "assistant", "content": "x", name: value}, USER))[1].scored is scored


@pytest.mark.parametrize("name", MASKS)
def test_masked_turns_are_not_trained_on(name: str) -> None:
    for value in (True, False):
        assert turns(chat({"role": "assistant", "content": "x", name: value}, USER))[1].scored is not value


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ({"mask": 1}, "row 1, turn 2 has mask 1, which is read both ways; write `train: false`"),
        ({"train": True, "loss": False}, "row 1, turn 2 has loss False and train True, which say opposite things"),
        ({"weight": 2}, "row 1, turn 2 has weight 2; only 0 (not trained on) and 1 (trained on) are known"),
    ],
)
def test_flags_that_can_be_read_both_ways_are_refused(flags: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError) as raised:
        read({"messages": [USER, {**BOT, **flags}]})
    assert sentence in str(raised.value)


@pytest.mark.parametrize("content", ["", "  \n", None])
def test_an_empty_answer_is_not_trained_on_and_is_said(content: str | None) -> None:
    examples = read(chat({"role": "assistant", "content": content}, USER))
    assert turns(chat({"role": "assistant", "content": content}, USER))[1].scored is False
    assert found(examples, "empty-answers").rows == (0,)


def test_answers_and_questions_in_a_row_are_said() -> None:
    assert kinds(read({"messages": [USER, BOT, BOT]})) == ["answers-in-a-row"]
    assert kinds(read({"messages": [USER, USER, BOT]})) == ["questions-in-a-row"]
    assert kinds(read({"messages": [BOT, USER, BOT, USER]})) == []


@pytest.mark.parametrize(
    ("turn", "sentence"),
    [
        ({"role": "narrator", "content": "x"}, "row 1, turn 2 has the role 'narrator'"),
        ({"role": "user", "content": [{"type": "hologram"}]}, "row 1, turn 2 holds a part of type 'hologram'"),
        ({"role": "user", "content": [{"type": "image_url"}]}, "row 1, turn 2 holds a part of type 'image_url'"),
        ({"role": "user", "content": ["a", "b"]}, "row 1, turn 2 holds a list of 2 texts (['a', 'b'])"),
        ({"role": "user", "content": {"a": 1}}, "row 1, turn 2 holds an object where text was expected ({'a': 1})"),
        (
            {"role": "assistant", "content": [{"type": "tool_result"}]},
            "row 1, turn 2 holds a tool's result in an answer",
        ),
        ({"role": "assistant", "tool_calls": [{"id": "x"}]}, "row 1, turn 2 has a tool call without a function's name"),
    ],
)
def test_a_turn_that_can_not_be_read_is_named(turn: Any, sentence: str) -> None:
    with pytest.raises(UserError) as raised:
        read({"messages": [USER, turn, BOT]}, mapping=("messages=messages",))
    assert sentence in str(raised.value)


def test_the_nan_of_gaps_is_nothing() -> None:
    gap = {"tool_calls": NAN, "function_call": NAN, "weight": NAN, "mask": NAN, "name": NAN, "thinking": NAN}
    assert turns({"messages": [{**USER, **gap}, {**BOT, **gap}], "tools": NAN}) == (Q, A)
    assert turns({"messages": [{**USER, "content": NAN, "value": "q"}, BOT]}) == (Q, A)
    row = {"instruction": "q", "input": NAN, "output": "a", "history": NAN, "system": NAN}
    assert turns(row) == (Q, A)


@pytest.mark.parametrize(
    "value",
    [
        {"role": ["user", "assistant"], "content": ["q", "a"]},
        {"from": ["human", "gpt"], "value": ["q", "a"], "weight": [None, 1], "tools": []},
        '{"role": ["user", "assistant"], "content": ["q", "a"]}',
    ],
)
def test_a_table_of_lists_is_turns(value: Any) -> None:
    examples = read({"conversations": value})
    assert examples.examples == [Conversation((Q, A), (), 1)]
    assert kinds(examples) == []


def test_a_table_of_lists_that_differ_in_length_is_refused() -> None:
    with pytest.raises(UserError, match=r"'messages' holds .* which does not say who speaks"):
        read({"messages": {"role": ["user", "assistant"], "content": ["q"]}})


SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}}


@pytest.mark.parametrize(
    "tools",
    [
        [{"type": "function", "function": {"name": "f", "parameters": json.dumps(SCHEMA)}}],
        [{"name": "f", "parameters": json.dumps(SCHEMA)}],
        {"f": {"parameters": SCHEMA}},
        {"tools": [{"name": "f", "parameters": SCHEMA}]},
        {"functions": [json.dumps({"name": "f", "parameters": SCHEMA})]},
    ],
)
def test_tools_within_objects_and_schemas_as_text(tools: Any) -> None:
    (example,) = read({"messages": [USER, BOT], "tools": tools}).examples
    assert isinstance(example, Conversation)
    assert example.tools == ({"type": "function", "function": {"name": "f", "parameters": SCHEMA}},)


def test_a_tool_without_a_name_is_named() -> None:
    with pytest.raises(UserError, match="row 1 has a tool without a name"):
        read({"messages": [USER, BOT], "tools": [{"type": "web_search"}]})


def test_tools_of_any_turn_are_read_and_further_ones_named() -> None:
    examples = read({"messages": [{"role": "system", "content": "s"}, {**USER, "tools": [TOOL]}, BOT]})
    assert isinstance(examples.examples[0], Conversation) and examples.examples[0].tools == (TOOL,)
    assert kinds(examples) == []
    twice = read({"messages": [{**USER, "tools": [TOOL]}, BOT, {**USER, "tools": [{**TOOL, "more": 1}]}, BOT]})
    assert "'tools'" in found(twice, "unread-keys").text
    assert kinds(read({"messages": [{**USER, "tools": [TOOL]}, BOT, {**USER, "tools": [TOOL]}, BOT]})) == []


@pytest.mark.parametrize("arguments", [json.dumps(json.dumps({"n": 1})), "{'n': 1}"])
def test_arguments_that_were_encoded_otherwise_are_decoded(arguments: str) -> None:
    call = {"type": "function", "function": {"name": "f", "arguments": arguments}}
    examples = read({"messages": [USER, {"role": "assistant", "content": None, "tool_calls": [call]}]})
    assert examples.examples == [Conversation((Q, CALLED), (), 1)] and kinds(examples) == []


def test_arguments_that_are_no_json_are_said() -> None:
    call = {"type": "function", "function": {"name": "f", "arguments": "n=1"}}
    row = {"messages": [USER, {"role": "assistant", "content": None, "tool_calls": [call]}]}
    assert found(read({"messages": [USER, BOT]}, row), "arguments-as-text").rows == (1,)


@pytest.mark.parametrize(("weight", "scored"), [("0.0", False), ("1.0", True), (0.0, False)])
def test_weights_as_fractions(weight: object, scored: bool) -> None:
    row = {"messages": [USER, {**BOT, "weight": weight}, USER, BOT]}
    assert turns(row)[1].scored is scored


def test_thinking_in_a_turn_of_its_own_belongs_to_the_answer() -> None:
    thought = {"role": "assistant", "channel": "analysis", "content": "Hm."}
    said = Message("assistant", "a", True, {"reasoning_content": "Hm."})
    assert turns({"messages": [USER, thought, {**BOT, "channel": "final"}]}) == (Q, said)
    both = said._replace(extra={"reasoning_content": "Hm.\n\nWell."})
    assert turns({"messages": [USER, thought, {**BOT, "thinking": "Well."}]}) == (Q, both)
    alone = {"role": "assistant", "content": "", "reasoning_content": "Hm."}
    assert turns({"messages": [USER, alone, BOT]}) == (Q, said)
    call = {"role": "assistant", "channel": "commentary", "recipient": "functions.f", "content": '{"n": 1}'}
    called = CALLED._replace(extra={"reasoning_content": "Hm.", "tool_calls": [CALL]})
    assert turns(chat(thought, call, RESULT)) == (Q, called, Message("tool", "3"), A)


def test_a_prompt_with_a_system_turn_does_not_get_a_second_one() -> None:
    row = {"prompt": [{"role": "system", "content": "s"}, USER], "completion": [BOT], "system": "Another one."}
    examples = read(row)
    assert examples.examples == [Conversation((Message("system", "s"), Q, A), (), 1)]
    assert found(examples, "two-system-prompts").rows == (0,)
    assert turns({"prompt": [USER], "completion": [BOT], "system": "s"})[0] == Message("system", "s")


@pytest.mark.parametrize(("system", "is_said"), [("Tools: f, which Does it all.", True), ("Be f.", False)])
def test_tools_that_the_system_prompt_describes_too_are_said(system: str, is_said: bool) -> None:
    tool = {"type": "function", "function": {"name": "f", "description": "Does it all.", "parameters": {}}}
    row = {"messages": [{"role": "system", "content": system}, USER, BOT], "tools": [tool]}
    assert ("tools-twice" in kinds(read(row))) == is_said
