"""What is a target, for the chat templates of many model families."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from backend.data.chat.endings import end_of_turn
from backend.data.chat.fitting import CALLS_AS_TEXT, IDS_REWRITTEN, SYSTEM_MOVED, TOOLS_LEFT_OUT
from backend.data.chat.masking import (
    CALLS_LEFT_OUT,
    DEFAULT_SYSTEM,
    END_IS_TEXT,
    NO_END_EARLIER,
    PROMPT_DIFFERS,
    THINKING_LEFT_OUT,
    TURNS_LEFT_OUT,
    WRITES_DATE,
)
from backend.data.chat.tallied import tally_findings
from backend.data.chat.tally import Tally
from backend.data.chat.tokenizer import TextTokenizer
from backend.data.chat.tokens import EOS_APPENDED, Row, tokenize_all
from backend.data.conversation import Conversation
from backend.data.tokenizing import WHOLE, Tokenizing
from backend.data.turns.turns import message
from tests.backend.data.chat.families import FAMILIES, folder_of
from tests.bench.templates import ASKED, CHATS, INLINE, SAID, THOUGHT, TOOLS, outcome

REFUSED = {
    ("falcon", "call"),
    ("falcon", "parallel calls"),
    ("gemma", "call"),
    ("gemma", "parallel calls"),
    ("gemma3", "call"),
    ("gemma3", "parallel calls"),
    ("llama2", "call"),
    ("llama2", "parallel calls"),
    ("llama3", "parallel calls"),
    ("llama3_2", "parallel calls"),
    ("mistral_v1", "call"),
    ("mistral_v1", "parallel calls"),
}
"""Conversations that the templates themselves refuse."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("families")


def load(root: Path, name: str) -> TextTokenizer:
    return TextTokenizer.load(root / name if (root / name).exists() else folder_of(root, name))


def made(
    tokenizer: TextTokenizer,
    chat: list[dict[str, Any]],
    tools: list[dict[str, Any]] | None = None,
    how: Tokenizing = WHOLE,
) -> tuple[list[str], Tally]:
    """The runs of target tokens as text, and the messages of the tokenizing."""
    tally = Tally()
    example = Conversation(tuple(message(turn, "row 1") for turn in chat), tuple(tools or ()), 1)
    (row,) = tokenize_all([example], tokenizer, how, tally)
    assert row is not None, tally.refusal
    return targets(row, tokenizer), tally


def targets(row: Row, tokenizer: TextTokenizer) -> list[str]:
    runs = groupby(range(len(row.ids)), key=lambda at: bool(row.scored[at]))
    return [tokenizer.decode(row.ids[list(run)].tolist()) for is_target, run in runs if is_target]


@pytest.mark.parametrize("name", FAMILIES)
def test_targets_are_what_the_model_writes(root: Path, name: str) -> None:
    tokenizer = load(root, name)
    found = {chat: outcome(FAMILIES[name], tokenizer, chat) for chat in CHATS}
    assert not [f"{chat}: {x.why} {x.targets}" for chat, x in found.items() if x.kind == "WRONG"]
    assert {(name, chat) for chat, x in found.items() if x.kind == "refused"} == {x for x in REFUSED if x[0] == name}


@pytest.mark.parametrize("name", FAMILIES)
def test_a_known_shape_gives_the_targets_that_marks_give(root: Path, name: str) -> None:
    texts = ["Answer: a", " led by spaces", "trailed\n\n", "你好 🙂", "<think>x</think>y"]
    chats = [
        [
            {"role": "user", "content": a},
            {"role": "assistant", "content": b},
            *ASKED[:1],
            {"role": "assistant", "content": a},
        ]
        for a in texts
        for b in texts
    ]
    together = load(root, name)
    for chat in chats:
        kept, _ = made(together, chat)
        together.template().shapes.clear()
        assert made(together, chat)[0] == kept


def test_thinking_and_channels_are_targets_and_an_end_that_the_model_never_writes_is_none(root: Path) -> None:
    harmony = load(root, "harmony")
    final = "<|channel|>final<|message|>"
    runs, tally = made(harmony, [ASKED[0], THOUGHT[0], ASKED[1], THOUGHT[1]])
    thought = "<|channel|>analysis<|message|>Thought 1<|end|><|start|>assistant"
    assert runs == [f"{final}Answer 0.", f"{thought}{final}Answer 1.<|return|>"]
    assert set(tally.notes) == {THINKING_LEFT_OUT, NO_END_EARLIER, WRITES_DATE}
    runs, _ = made(harmony, [ASKED[0], SAID[0], ASKED[1], SAID[1]], how=Tokenizing(train_on_turns="last"))
    assert runs == [f"{final}Answer 1.<|return|>"]


def test_eos_after_the_whole_conversation_and_none_within(root: Path) -> None:
    runs, tally = made(load(root, "phi3"), CHATS["multi turn"])
    assert runs == ["Answer 0.<|end|>", "Answer 1.<|end|>", "Answer 2.<|end|>\n<|endoftext|>"]
    assert not tally.notes


def test_a_template_without_an_end_of_turn_gets_eos(root: Path) -> None:
    runs, tally = made(load(root, "minicpm"), CHATS["multi turn"])
    assert runs == ["Answer 0.", "Answer 1.", "Answer 2.</s>"]
    assert tally.notes == {EOS_APPENDED: 1, NO_END_EARLIER: 1}
    assert tally.values[EOS_APPENDED] == "</s>"


def test_an_end_of_turn_that_is_no_token_is_text_and_eos_follows(root: Path) -> None:
    folder = folder_of(root / "no-tokens", "vicuna")
    (folder / "chat_template.jinja").write_text((folder_of(root / "im", "chatml") / "chat_template.jinja").read_text())
    runs, tally = made(TextTokenizer.load(folder), CHATS["one turn"])
    assert runs == ["Answer 0.<|im_end|>\n</s>"]
    assert tally.notes == {EOS_APPENDED: 1, END_IS_TEXT: 1}
    assert tally.values[END_IS_TEXT] == "<|im_end|>"


def test_a_prompt_that_opens_a_thought_is_told(root: Path) -> None:
    tokenizer = load(root, "qwq")
    runs, tally = made(tokenizer, [ASKED[0], INLINE[0]])
    assert (runs, dict(tally.notes)) == (["Thought 0\n</think>\n\nAnswer 0.<|im_end|>"], {})
    runs, tally = made(tokenizer, [ASKED[0], SAID[0]])
    assert (runs, dict(tally.notes)) == (["Answer 0.<|im_end|>"], {PROMPT_DIFFERS: 1})
    assert tally.values[PROMPT_DIFFERS] == "<think>"


def test_calls_get_the_form_that_the_template_takes(root: Path) -> None:
    runs, _ = made(load(root, "deepseek_v3"), CHATS["parallel calls"], TOOLS)
    named = "<｜tool▁call▁begin｜>function<｜tool▁sep｜>tool{0}"
    call = named + '\n```json\n{{"of": "Ärg {0}", "n": {0}}}\n```<｜tool▁call▁end｜>'
    calls = "\n".join(call.format(n) for n in (0, 1))
    assert runs[0] == f"<｜tool▁calls▁begin｜>{calls}<｜tool▁calls▁end｜><｜end▁of▁sentence｜>"
    runs, _ = made(load(root, "qwen3_coder"), CHATS["call"], TOOLS)
    assert "<function=tool0>\n<parameter=of>\nÄrg 0\n</parameter>" in runs[0]


def test_a_template_that_writes_calls_only_without_content(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "deepseek_v3")
    source = (
        "{%- for m in messages -%}{%- if m.role == 'user' -%}{{- '<｜User｜>' + m.content -}}"
        "{%- elif m.role == 'assistant' and m.content is none -%}{{- '<｜Assistant｜>' -}}"
        "{%- for c in m.tool_calls -%}{{- c.function.name + '\\n' + c.function.arguments -}}{%- endfor -%}"
        "{{- eos_token -}}"
        "{%- elif m.role == 'assistant' -%}{{- '<｜Assistant｜>' + m.content + eos_token -}}"
        "{%- else -%}{{- m.content -}}{%- endif -%}{%- endfor -%}"
        "{%- if add_generation_prompt -%}{{- '<｜Assistant｜>' -}}{%- endif -%}"
    )
    (folder / "chat_template.jinja").write_text(source)
    chat = [dict(turn) for turn in CHATS["call"]]
    for content in (None, ""):
        chat[1] = {**chat[1], "content": content}
        runs, tally = made(TextTokenizer.load(folder), chat)
        assert runs[0] == 'tool0\n{"of": "Ärg 0", "n": 0}<｜end▁of▁sentence｜>'
        assert runs[1] == "Answer 0.<｜end▁of▁sentence｜>"
        assert not tally.notes


def test_no_second_call_is_lost_unsaid(root: Path) -> None:
    runs, tally = made(load(root, "harmony"), CHATS["parallel calls"], TOOLS)
    assert "tool0" in runs[0]
    assert "tool1" not in runs[0]
    assert tally.notes[CALLS_LEFT_OUT] == 1
    assert tally.values[CALLS_LEFT_OUT] == "tool1"
    assert any(
        x.kind == "calls-left-out" and x.rows == (0,) and "the call of 'tool1'" in x.text
        for x in tally_findings(tally, False)
    )


def test_a_result_that_is_written_escaped_is_written(root: Path) -> None:
    tokenizer = load(root, "harmony")
    _, tally = made(tokenizer, CHATS["call"], TOOLS)
    assert TURNS_LEFT_OUT not in tally.notes


def test_a_result_that_the_answer_quotes_is_missed_all_the_same(root: Path) -> None:
    folder = folder_of(root / "quoted", "r1")
    chat = [
        ASKED[0],
        CHATS["call"][1],
        {"role": "tool", "content": "3 apples"},
        {"role": "assistant", "content": "There are 3 apples."},
    ]
    runs, tally = made(TextTokenizer.load(folder), chat, TOOLS)
    assert runs[1] == "There are 3 apples.<|end|>"
    assert tally.notes[TURNS_LEFT_OUT] == 1
    assert tally.notes[CALLS_AS_TEXT] == tally.notes[TOOLS_LEFT_OUT] == 1


@pytest.mark.parametrize("name", [None, "call_0123456789"])
def test_ids_of_calls_are_rewritten_where_the_template_refuses_them(root: Path, name: str | None) -> None:
    tokenizer = load(root, "mistral_v3")
    chat = [{key: x for key, x in turn.items() if key != "tool_call_id"} for turn in CHATS["parallel calls"]]
    calls = [
        {**call, "id": f"{name}{at}"} if name else {k: v for k, v in call.items() if k != "id"}
        for at, call in enumerate(chat[1]["tool_calls"])
    ]
    chat[1] = {**chat[1], "tool_calls": calls}
    if name:
        chat[2]["tool_call_id"], chat[3]["tool_call_id"] = f"{name}1", f"{name}0"
    example = Conversation(tuple(message(turn, "row 1") for turn in chat), tuple(TOOLS), 1)
    tally = Tally()
    (row,) = tokenize_all([example], tokenizer, WHOLE, tally)
    assert row is not None
    text = tokenizer.decode(row.ids.tolist())
    assert '"n": 0}, "id": "call00001"}' in text
    first, second = ("2", "1") if name else ("1", "2")
    assert f'{{"Result": "0"}}, "call_id": "call0000{first}"' in text
    assert f'{{"Result": "1"}}, "call_id": "call0000{second}"' in text
    assert tally.notes == {IDS_REWRITTEN: 1}


def test_a_system_prompt_in_the_middle_and_an_empty_one(root: Path) -> None:
    tokenizer = load(root, "gemma")
    rude = {"role": "system", "content": "Be rude."}
    example = [ASKED[0], SAID[0], rude, ASKED[1], SAID[1]]
    runs, tally = made(tokenizer, example)
    assert runs == ["Answer 0.<end_of_turn>", "Answer 1.<end_of_turn>"]
    assert tally.notes == {SYSTEM_MOVED: 1}
    runs, tally = made(tokenizer, [{"role": "system", "content": ""}, ASKED[0], SAID[0]])
    assert (runs, dict(tally.notes)) == (["Answer 0.<end_of_turn>"], {})


def test_a_default_system_prompt_and_a_date_are_told(root: Path) -> None:
    tokenizer = load(root, "granite3")
    _, tally = made(tokenizer, [ASKED[0], SAID[0]])
    assert tally.notes == {DEFAULT_SYSTEM: 1, WRITES_DATE: 1}
    assert tally.values[DEFAULT_SYSTEM].endswith("You are G, developed by a firm.")
    _, tally = made(tokenizer, CHATS["system"])
    assert DEFAULT_SYSTEM not in tally.notes
    assert tokenizer.template().writes_date
    assert not load(root, "phi3").template().writes_date


@pytest.mark.parametrize("name", ["vicuna", "alpaca", "falcon", "deepseek_v2"])
def test_header_words_in_texts_are_no_borders(root: Path, name: str) -> None:
    said = "### Response:\nUSER: ASSISTANT: User: yes\n\nAssistant:\n\n### Instruction:\nNo."
    chat = [{"role": "user", "content": said}, {"role": "assistant", "content": said}, *CHATS["one turn"]]
    runs, _ = made(load(root, name), chat)
    end = FAMILIES[name].end
    assert [run.strip() for run in runs] == [said + end, f"Answer 0.{end or '<|endoftext|>'}"]


@pytest.mark.parametrize(
    "source",
    [
        "{{ 1 / 0 }}",
        "{{ messages[0].content.nothing.at.all }}",
        "{{ none + 'x' }}",
        "{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}",
        "{{ [1, 2, 3] | sum(attribute='x') }}",
        "{{ ''.join(messages) }}",
        "{{ raise_exception('no') }}",
        "{{ range(10 ** 9) | list }}",
        "{% for m in messages %}{{ m.content }}{{ m.nothing() }}{% endfor %}",
    ],
)
def test_whatever_a_template_raises_is_a_refusal(tmp_path: Path, source: str) -> None:
    folder = folder_of(tmp_path, "chatml")
    (folder / "chat_template.jinja").write_text(source)
    tally = Tally()
    example = Conversation(tuple(message(turn, "row 1") for turn in CHATS["one turn"]), (), 1)
    assert tokenize_all([example], TextTokenizer.load(folder), WHOLE, tally) == [None]
    assert tally.refused == 1
    assert tally.refusal.startswith("row 1: ")


@pytest.mark.parametrize("name", FAMILIES)
def test_the_token_that_ends_a_turn_is_the_one_that_was_learned(root: Path, name: str) -> None:
    tokenizer = load(root, name)
    family = FAMILIES[name]
    end = (family.end if family.earlier is None else family.earlier or family.end) or family.eos
    found = end_of_turn(tokenizer)
    assert found is not None
    assert end.endswith(tokenizer.decode([found]))


@pytest.mark.parametrize("name", ["chatml", "llama3_plain", "mistral_tekken", "vicuna", "harmony", "deepseek_v3"])
def test_an_answer_that_opens_the_conversation(root: Path, name: str) -> None:
    family = FAMILIES[name]
    runs, _ = made(load(root, name), [SAID[0], ASKED[1], SAID[1]])
    end = family.end if family.earlier is None else family.earlier
    assert runs == [f"{family.lead}Answer 0.{end}", f"{family.last_lead}Answer 1.{family.end}"]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("c.function.arguments", '{"of": "Ärg 0", "n": 0}'),
        ("c.function.arguments | tojson", '{"of": "Ärg 0", "n": 0}'),
        ("c.function | tojson", '{"name": "tool0", "arguments": {"of": "Ärg 0", "n": 0}}'),
        ("c.function.arguments.of", "Ärg 0"),
        (
            "c.function.arguments if c.function.arguments is string else raise_exception('text')",
            '{"of": "Ärg 0", "n": 0}',
        ),
    ],
)
def test_arguments_are_neither_quoted_twice_nor_written_as_python(tmp_path: Path, written: str, expected: str) -> None:
    folder = folder_of(tmp_path, "chatml")
    calls = "{% for c in m.tool_calls or [] %}{{ c.function.name }}:{{ " + written + " }}{% endfor %}"
    source = (folder / "chat_template.jinja").read_text().replace("m.content +", "(m.content or '') +")
    source = source.replace("<|im_end|>\\n' }}{% endfor %}", "' }}" + calls + "{{ '<|im_end|>\\n' }}{% endfor %}")
    (folder / "chat_template.jinja").write_text(source)
    runs, _ = made(TextTokenizer.load(folder), CHATS["call"])
    assert runs[0] == f"tool0:{expected}<|im_end|>"


@pytest.mark.parametrize(
    ("name", "chat", "hint"),
    [
        ("gemma", CHATS["call"], "turn 3 is a tool's result: use a model whose chat template takes tools"),
        ("llama3", CHATS["parallel calls"], "turn 2 has several tool calls: give each a turn of its own"),
        ("gemma", [ASKED[0], ASKED[1], SAID[0]], "turns 1 and 2 are both of user: join them"),
        ("gemma", [SAID[0], ASKED[1], SAID[1]], "it begins with an answer: remove that turn"),
    ],
)
def test_a_refusal_says_what_to_do(root: Path, name: str, chat: list[dict[str, Any]], hint: str) -> None:
    tally = Tally()
    example = Conversation(tuple(message(turn, "row 1") for turn in chat), (), 7)
    assert tokenize_all([example], load(root, name), WHOLE, tally) == [None]
    assert tally.refusal.startswith("row 7: ")
    assert hint in tally.refusal
