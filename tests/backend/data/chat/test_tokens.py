from __future__ import annotations

import json
import shutil
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from backend.data.chat.fitting import CALLS_AS_TEXT, SYSTEM_MOVED, TOOLS_LEFT_OUT
from backend.data.chat.masking import (
    DEFAULT_SYSTEM,
    NAMES_LEFT_OUT,
    PROMPT_DIFFERS,
    TEXT_LEFT_OUT,
    THINKING_LEFT_OUT,
    TURNS_LEFT_OUT,
)
from backend.data.chat.tally import Tally
from backend.data.chat.template import FALLBACK
from backend.data.chat.tokenizer import TextTokenizer
from backend.data.chat.tokens import EOS_APPENDED, Row, tokenize, tokenize_all
from backend.data.conversation import Conversation, Message, Text
from backend.data.tokenizing import WHOLE, Tokenizing
from backend.errors import UserError
from tests.backend.data.chat.test_against_transformers import CHATS, MARKS, TOOLS, UNKNOWN, conversation, make_folder

ANSWER = "Tom has 7 – größer, 你好 🙂."
ENDS = {"llama3": "<|eot_id|>", "mistral": "</s>", "gemma": "<end_of_turn>", "r1": "<|end|>"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("tokenizers")
    return {name: make_folder(root / name, name) for name in MARKS}


def scored(row: Row, tokenizer: TextTokenizer) -> list[str]:
    """The runs of target tokens of a row, as text."""
    runs = groupby(range(len(row.ids)), key=lambda at: bool(row.scored[at]))
    return [tokenizer.decode(row.ids[list(run)].tolist()) for is_scored, run in runs if is_scored]


@pytest.mark.parametrize("name", MARKS)
def test_the_answer_and_its_end_are_scored_and_nothing_else(folders: dict[str, Path], name: str) -> None:
    tokenizer = TextTokenizer.load(folders[name])
    end = ENDS.get(name, "<|im_end|>")
    space = " " if name == "mistral" else ""
    thought = "<think>\n\n</think>\n\n" if name == "qwen3" else ""
    row = tokenize(conversation(CHATS["one turn"], []), tokenizer)
    assert scored(row, tokenizer) == [f"{space}{thought}{ANSWER}{end}"]
    last = "8" if name in ("llama3", "gemma", "mistral") else " 8"
    row = tokenize(conversation(CHATS["three turns"], []), tokenizer)
    assert scored(row, tokenizer) == [f"{space}{ANSWER}{end}", f"{space}{thought}{last}{end}"]


@pytest.mark.parametrize("name", ["qwen3", "r1"])
def test_thinking_that_a_template_takes_out_of_earlier_turns(folders: dict[str, Path], name: str) -> None:
    tokenizer = TextTokenizer.load(folders[name])
    runs = scored(tokenize(conversation(CHATS["thinking"], []), tokenizer), tokenizer)
    if name == "qwen3":
        assert runs == ["Seven<|im_end|>", "<think>\n10 - 2\n</think>\n\nEight<|im_end|>"]
    else:
        assert [run.strip() for run in runs] == ["Seven<|end|>", "Eight<|end|>"]


@pytest.mark.parametrize("name", ["qwen3", "llama3", "mistral"])
def test_calls_are_scored_and_results_are_not(folders: dict[str, Path], name: str) -> None:
    tokenizer = TextTokenizer.load(folders[name])
    runs = scored(tokenize(conversation(CHATS["call"], TOOLS), tokenizer), tokenizer)
    assert len(runs) == 3
    assert '"name": "count"' in runs[0]
    assert "Äpfel" in runs[0]
    assert not any("left" in run for run in runs)


def test_a_marked_turn_can_be_left_unscored(folders: dict[str, Path]) -> None:
    tokenizer = TextTokenizer.load(folders["smollm2"])
    chat = [dict(turn) for turn in CHATS["three turns"]]
    chat[1]["weight"] = 0
    assert scored(tokenize(conversation(chat, []), tokenizer), tokenizer) == [" 8<|im_end|>"]


def test_an_answer_that_opens_the_conversation(folders: dict[str, Path]) -> None:
    tokenizer = TextTokenizer.load(folders["qwen3"])
    chat = Conversation((Message("assistant", "Hello", True), Message("user", "x"), Message("assistant", "y", True)))
    assert scored(tokenize(chat, tokenizer), tokenizer) == ["Hello<|im_end|>", "<think>\n\n</think>\n\ny<|im_end|>"]


@pytest.mark.parametrize("name", UNKNOWN["system"])
def test_a_system_prompt_without_a_place_goes_before_the_question(folders: dict[str, Path], name: str) -> None:
    tokenizer = TextTokenizer.load(folders[name])
    tally = Tally()
    (row,) = tokenize_all([conversation(CHATS["system"], [])], tokenizer, WHOLE, tally)
    assert row is not None
    assert "Be brief.\n\nHow many" in tokenizer.decode(row.ids.tolist())
    assert len(scored(row, tokenizer)) == 1
    assert tally.notes.pop(SYSTEM_MOVED) == 1
    assert set(tally.notes) <= {SYSTEM_MOVED, PROMPT_DIFFERS}


def notes(chat: list[dict[str, Any]], folder: Path) -> dict[str, int]:
    tally = Tally()
    tokenize_all([conversation(chat, [])], TextTokenizer.load(folder), WHOLE, tally)
    return {kind: count for kind, count in tally.notes.items() if kind not in (DEFAULT_SYSTEM, PROMPT_DIFFERS)}


def test_thinking_and_text_that_a_template_leaves_out_are_counted(folders: dict[str, Path]) -> None:
    answer = {"role": "assistant", "content": "Seven", "reasoning_content": "10 - 3"}
    chat = [CHATS["call"][0], answer]
    assert notes(chat, folders["smollm2"]) == {THINKING_LEFT_OUT: 1}
    assert notes(chat, folders["qwen3"]) == {}
    earlier = [chat[0], {**answer, "reasoning_content": "3 off"}]
    assert notes([*earlier, *chat], folders["qwen3"]) == {THINKING_LEFT_OUT: 1}
    assert notes([*chat[:1], {**answer, "weight": 0}, *chat[:1], CHATS["one turn"][1]], folders["smollm2"]) == {}
    assert notes(CHATS["thinking"], folders["r1"]) == {THINKING_LEFT_OUT: 1}
    call = {**CHATS["call"][1], "content": "Let me count."}
    assert notes([*chat[:1], call], folders["qwen3"]) == {}
    assert notes([*chat[:1], call], folders["mistral"]) == {TEXT_LEFT_OUT: 1}


def test_calls_and_tools_that_a_template_does_not_know(folders: dict[str, Path]) -> None:
    tokenizer = TextTokenizer.load(folders["smollm2"])
    tally = Tally()
    (row,) = tokenize_all([conversation(CHATS["call"], TOOLS)], tokenizer, WHOLE, tally)
    assert row is not None
    assert scored(row, tokenizer)[0] == '{"name": "count", "arguments": {"of": "Äpfel", "n": 3}}<|im_end|>'
    assert tally.notes == {CALLS_AS_TEXT: 1, TOOLS_LEFT_OUT: 1, DEFAULT_SYSTEM: 1}
    tally = Tally()
    tokenize_all([conversation(CHATS["call"], [])], TextTokenizer.load(folders["r1"]), WHOLE, tally)
    assert tally.notes[TURNS_LEFT_OUT] == 1


def test_turns_that_a_template_refuses(folders: dict[str, Path]) -> None:
    tokenizer = TextTokenizer.load(folders["gemma"])
    twice = Conversation((Message("user", "a"), Message("user", "b"), Message("assistant", "c", True)), (), 17)
    with pytest.raises(UserError, match="does not take row 17: Conversation roles must alternate"):
        tokenize(twice, tokenizer)
    tally = Tally()
    rows = tokenize_all([twice, conversation(CHATS["one turn"], [])], tokenizer, WHOLE, tally)
    assert (rows[0], tally.refused) == (None, 1)
    assert rows[1] is not None


def test_a_template_that_hides_where_answers_are_is_refused_and_never_guessed(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "smollm2", "smollm2")
    (folder / "chat_template.jinja").write_text(
        "{% for m in messages %}{{ m.content | upper }}{{ messages | length }}{{ m.content | length }}|{% endfor %}"
    )
    with pytest.raises(UserError, match="turn 2 can't be told apart"):
        tokenize(conversation(CHATS["three turns"], []), TextTokenizer.load(folder))


def test_rows_are_cut_and_say_so(folders: dict[str, Path]) -> None:
    tokenizer = TextTokenizer.load(folders["smollm2"])
    whole = tokenize(conversation(CHATS["one turn"], []), tokenizer)
    cut = tokenize(conversation(CHATS["one turn"], []), tokenizer, Tokenizing(len(whole.ids) - 5))
    assert cut.truncated
    assert not whole.truncated
    assert cut.ids.tolist() == whole.ids[:-5].tolist()
    assert cut.scored.tolist() == whole.scored[:-5].tolist()
    assert not tokenize(conversation(CHATS["one turn"], []), tokenizer, Tokenizing(8)).scored.any()


def test_plain_text_is_scored_but_for_its_first_token(folders: dict[str, Path]) -> None:
    tokenizer = TextTokenizer.load(folders["smollm2"])
    row = tokenize(Text("Tom has 7 apples."), tokenizer)
    assert row.scored.tolist() == [False] + [True] * (len(row.ids) - 1)
    assert row.ids[-1] == tokenizer.token_id("eos_token")
    goes_on = tokenize(Text("Tom has 7 apples.", ends=False), tokenizer)
    assert goes_on.ids.tolist() == row.ids[:-1].tolist()


def test_a_model_without_template_gets_the_plain_one(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "smollm2", "smollm2")
    (folder / "chat_template.jinja").unlink()
    tokenizer = TextTokenizer.load(folder)
    assert tokenizer.is_fallback
    assert tokenizer.chat_template == FALLBACK
    row = tokenize(conversation(CHATS["three turns"], []), tokenizer)
    assert tokenizer.decode(row.ids.tolist()).startswith("User: How many apples are left?\n\nAssistant: Tom has 7")
    assert scored(row, tokenizer) == [f" {ANSWER}<|im_end|>", " 8<|im_end|>"]


def test_a_model_that_can_not_end_its_turn_is_counted(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "smollm2", "smollm2")
    (folder / "chat_template.jinja").write_text("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}")
    tally = Tally()
    tokenize_all([conversation(CHATS["one turn"], [])], TextTokenizer.load(folder), WHOLE, tally)
    assert tally.notes == {EOS_APPENDED: 1}


def test_faults_of_the_model_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no tokenizer\.json") as raised:
        TextTokenizer.load(tmp_path)
    assert raised.value.field == "model"
    folder = make_folder(tmp_path / "smollm2", "smollm2")
    (folder / "chat_template.jinja").write_text("{% for %}")
    tokenizer = TextTokenizer.load(folder)
    with pytest.raises(UserError, match="chat template is broken on line 1"):
        tokenizer.render([{"role": "user", "content": "x"}])
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(UserError, match="can't be read"):
        TextTokenizer.load(folder)


def test_named_templates(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "smollm2", "smollm2")
    (folder / "chat_template.jinja").unlink()
    config: dict[str, Any] = json.loads((folder / "tokenizer_config.json").read_text())
    templates = [
        {"name": "default", "template": "plain"},
        {"name": "tool_use", "template": "with {{ tools | tojson }}"},
    ]
    (folder / "tokenizer_config.json").write_text(json.dumps(config | {"chat_template": templates}))
    tokenizer = TextTokenizer.load(folder)
    assert tokenizer.render([{"role": "user", "content": "x"}]) == "plain"
    assert tokenizer.render([{"role": "user", "content": "x"}], [{"name": "ü<"}]) == 'with [{"name": "ü<"}]'


def test_templates_in_the_folder_of_further_ones_are_found(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "model", "smollm2")
    (folder / "additional_chat_templates").mkdir()
    (folder / "additional_chat_templates" / "tool_use.jinja").write_text("{{ tools | length }} tools")
    tokenizer = TextTokenizer.load(folder)
    turns = [{"role": "user", "content": "a"}]
    assert tokenizer.render(turns, TOOLS) == "1 tools"
    assert tokenizer.render(turns).startswith("<|im_start|>")


def test_a_template_in_the_processors_file_alone(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "model", "smollm2")
    (folder / "chat_template.jinja").unlink()
    parts = "{% for part in m['content'] | selectattr('type', 'equalto', 'text') %}ASK {{ part['text'] }}{% endfor %}"
    source = "{% for m in messages %}" + parts + "{% endfor %}"
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": source}))
    tokenizer = TextTokenizer.load(folder)
    assert not tokenizer.is_fallback
    assert tokenizer.render([{"role": "user", "content": "a"}]) == "ASK a"


@pytest.mark.parametrize(
    "damaged",
    [
        {"added_tokens_decoder": {"2046": {"special": True}}},
        {"added_tokens_decoder": {"": {"content": "<x>"}}},
        {"added_tokens_decoder": {"2046": {"content": []}}},
        {"added_tokens_decoder": {"2046": []}},
        {"chat_template": [{"name": "default"}]},
    ],
)
def test_a_damaged_tokenizer_config_is_a_sentence(tmp_path: Path, damaged: dict[str, Any]) -> None:
    folder = make_folder(tmp_path / "smollm2", "smollm2")
    (folder / "chat_template.jinja").unlink()
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | damaged))
    with pytest.raises(UserError, match=r"tokenizer_config\.json can't be read: .*; fetch the model again"):
        TextTokenizer.load(folder)


def test_token_ids_that_32_bits_do_not_hold(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "smollm2", "smollm2")
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text())
    vocabulary = content["model"]["vocab"]
    vocabulary[next(token for token in vocabulary if token == "q")] = 2**31
    path.write_text(json.dumps(content))
    (folder / "config.json").unlink(missing_ok=True)
    tally = Tally()
    assert tokenize_all([Text("q q q", 1)], TextTokenizer.load(folder), WHOLE, tally) == [None]
    assert "has the id 2,147,483,648" in tally.refusal


def test_names_of_speakers_that_a_template_does_not_write_are_counted(folders: dict[str, Path], tmp_path: Path) -> None:
    chat = [{"role": "user", "content": "q", "name": "Tom"}, {"role": "assistant", "content": "a"}]
    assert notes(chat, folders["smollm2"]) == {NAMES_LEFT_OUT: 1}
    source = "{% for m in messages %}{{ m.name or m.role }}: {{ m.content }}<|im_end|>\n{% endfor %}"
    source += "{% if add_generation_prompt %}assistant: {% endif %}"
    folder = tmp_path / "names"
    shutil.copytree(folders["smollm2"], folder)
    (folder / "chat_template.jinja").write_text(source)
    assert notes(chat, folder) == {}
    call = [*CHATS["call"][:2], {**CHATS["call"][2], "name": "count"}, *CHATS["call"][3:]]
    assert NAMES_LEFT_OUT not in notes(call, folders["qwen3"])
