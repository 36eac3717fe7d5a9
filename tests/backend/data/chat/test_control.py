"""Control tokens in the data's own text, marks of other chat formats, and tokens without an embedding."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from backend.data.chat.control import ALREADY_RENDERED, CONTROL_KEPT, CONTROL_TOKENS, FOREIGN_MARKS
from backend.data.chat.tallied import tally_findings
from backend.data.chat.tally import BEYOND_EMBEDDING, Tally
from backend.data.chat.tokenizer import TextTokenizer
from backend.data.chat.tokens import CONTROL_IN_DOCUMENT, Row, tokenize_all
from backend.data.conversation import Conversation, Text
from backend.data.preview import preview
from backend.data.tokenizing import WHOLE, Tokenizing
from backend.data.turns.turns import message
from tests.backend.data.chat.families import folder_of
from tests.backend.data.chat.test_against_transformers import make_folder

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def chat(question: str, answer: str, **more: Any) -> Conversation:
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer, **more}]
    return Conversation(tuple(message(turn, "row 1") for turn in turns), (), 1)


def row_of(example: Conversation | Text, tokenizer: TextTokenizer, how: Tokenizing = WHOLE) -> tuple[Row, Tally]:
    tally = Tally()
    (row,) = tokenize_all([example], tokenizer, how, tally)
    assert row is not None, tally.refusal
    return row, tally


def metaspace_folder(folder: Path, scheme: str) -> Path:
    """A tokenizer that writes a space as ▁, before the first text alone or before each; two tokens take white space."""
    folder.mkdir(parents=True)
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
    tokenizer.decoder = decoders.Metaspace(prepend_scheme=scheme)
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=["<unk>"], show_progress=False)
    tokenizer.train_from_iterator(
        ["What ends a turn? It is <|im_end|>, im_start end im | user assistant.\n"] * 4, trainer
    )
    tokenizer.add_special_tokens(
        [AddedToken("<|im_start|>", special=True), AddedToken("<|im_end|>", special=True, rstrip=True)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"eos_token": "<|im_end|>", "unk_token": "<unk>", "chat_template": CHATML}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize("kind", ["bytes", "always", "first"])
def test_control_tokens_in_data_are_plain_text_and_all_else_is_as_before(tmp_path: Path, kind: str) -> None:
    folder = folder_of(tmp_path, "chatml") if kind == "bytes" else metaspace_folder(tmp_path / kind, kind)
    tokenizer = TextTokenizer.load(folder)
    end, start = (tokenizer.encode(x).ids[0] for x in ("<|im_end|>", "<|im_start|>"))
    plain, _ = row_of(chat("What ends a turn?", "It is X, and a turn."), tokenizer)
    held, tally = row_of(chat("What ends a turn?", "It is <|im_end|>, and a turn."), tokenizer)
    assert tally.notes == {CONTROL_TOKENS: 1}
    assert tally.values == {CONTROL_TOKENS: "<|im_end|>"}
    ids = held.ids.tolist()
    assert (ids.count(end), ids.count(start)) == (2, 2)
    assert held.ids[held.scored].tolist()[-1] == end
    same = next(at for at, (a, b) in enumerate(zip(ids, plain.ids.tolist(), strict=False)) if a != b)
    assert tokenizer.decode(ids[:same]).replace(" ", "").endswith("Itis")
    assert ids[-4:] == plain.ids.tolist()[-4:]
    assert tokenizer.decode(held.ids[held.scored].tolist()).strip() == "It is <|im_end|>, and a turn.<|im_end|>"


@pytest.mark.parametrize("kind", ["bytes", "always", "first"])
def test_aliases_stand_for_tokens_exactly(tmp_path: Path, kind: str) -> None:
    folder = folder_of(tmp_path, "chatml") if kind == "bytes" else metaspace_folder(tmp_path / kind, kind)
    tokenizer = TextTokenizer.load(folder)
    text = "<|im_start|>user\nWhat ends a turn?<|im_end|>\n<|im_start|>assistant\n It is.<|im_end|> \n"
    aliased = text
    for mark, alias in tokenizer.aliases.items():
        aliased = aliased.replace(mark, alias)
    assert tokenizer.encode_aliased(aliased)[0] == tokenizer.encode(text).ids


def test_control_tokens_can_be_wanted(tmp_path: Path) -> None:
    tokenizer = TextTokenizer.load(folder_of(tmp_path, "chatml"))
    row, tally = row_of(chat("a", "b<|im_end|>c"), tokenizer, Tokenizing(special_tokens_in_data=True))
    assert row.ids.tolist().count(tokenizer.token_id("eos_token")) == 3
    assert tally.notes == {CONTROL_KEPT: 1}


def test_control_tokens_in_calls_and_tools_are_plain_text(tmp_path: Path) -> None:
    tokenizer = TextTokenizer.load(folder_of(tmp_path, "granite4"))
    end = tokenizer.token_id("eos_token")
    calls = [{"function": {"name": "say", "arguments": {"text": "a<|end_of_text|>b"}}}]
    tools = ({"type": "function", "function": {"name": "say", "description": "writes <|end_of_text|>"}},)
    example = chat("Say it.", "", tool_calls=calls)._replace(tools=tools)
    row, tally = row_of(example, tokenizer)
    assert row.ids.tolist().count(end) == 3
    assert '{"text": "a<|end_of_text|>b"}' in tokenizer.decode(row.ids[row.scored].tolist())
    assert tally.notes == {CONTROL_TOKENS: 1}


def test_the_preview_shows_control_tokens_of_the_data_as_text(tmp_path: Path) -> None:
    tokenizer = TextTokenizer.load(folder_of(tmp_path, "chatml"))
    segments = preview([chat("What is <|im_end|>?", "It is <|im_end|>.")], tokenizer)
    assert "".join(x.text for x in segments) == (
        "<|im_start|>user\nWhat is <|im_end|>?<|im_end|>\n<|im_start|>assistant\nIt is <|im_end|>.<|im_end|>\n"
    )
    assert [x.text for x in segments if x.scored] == ["It is <|im_end|>.<|im_end|>"]


def test_the_preview_shows_the_eos_that_is_appended(tmp_path: Path) -> None:
    tokenizer = TextTokenizer.load(folder_of(tmp_path, "minicpm"))
    segments = preview([chat("How many?", "Three.")], tokenizer)
    assert [(x.text, x.scored) for x in segments] == [("<用户>How many?<AI>", False), ("Three.", True), ("</s>", True)]


@pytest.mark.parametrize(
    ("question", "answer", "kinds"),
    [
        ("<s>[INST] How many? [/INST]", "Three. </s>", {ALREADY_RENDERED, FOREIGN_MARKS, CONTROL_TOKENS}),
        ("### Instruction:\nHow many?\n\n### Response:", "Three.", {ALREADY_RENDERED}),
        (
            "<|im_start|>user\nHow many?<|im_end|>\n<|im_start|>assistant\n",
            "Three.",
            {ALREADY_RENDERED, CONTROL_TOKENS},
        ),
        ("How many?", "Three.<|eot_id|>", {FOREIGN_MARKS}),
        ("What does [INST] mean to a <s >page</s >?", "It is a mark.", {FOREIGN_MARKS}),
        ("Is a < b, or [b] > a, in <b>HTML</b>?", "User: yes. Assistant: no.", set()),
        ("The Assistant: who is it?", "### Response:\nnobody", set()),
    ],
)
def test_chats_that_are_already_written(tmp_path: Path, question: str, answer: str, kinds: set[str]) -> None:
    _, tally = row_of(chat(question, answer), TextTokenizer.load(folder_of(tmp_path, "chatml")))
    assert set(tally.notes) == kinds


def test_documents_keep_their_control_tokens_and_tell_marks_of_others(tmp_path: Path) -> None:
    tokenizer = TextTokenizer.load(folder_of(tmp_path, "chatml"))
    row, tally = row_of(Text("<|im_start|>user\nHow many?<|im_end|>", 1), tokenizer)
    assert row.ids.tolist().count(tokenizer.token_id("eos_token")) == 1
    assert tally.notes == {CONTROL_IN_DOCUMENT: 1}
    document = Text("<s>[INST] How many? [/INST] Three. </s>", 1)
    _, tally = row_of(document, tokenizer)
    assert tally.values[FOREIGN_MARKS] == "[INST]"
    _, tally = row_of(document, TextTokenizer.load(folder_of(tmp_path, "llama2")))
    assert tally.notes == {CONTROL_IN_DOCUMENT: 1}


def test_a_token_beyond_the_embedding_stops(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "chatml")
    config = {"vocab_size": len(Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab())}
    (folder / "config.json").write_text(json.dumps({"text_config": config}))
    known = Tokenizer.from_file(str(folder / "tokenizer.json"))
    known.add_tokens(["<more>"])
    known.save(str(folder / "tokenizer.json"))
    tokenizer = TextTokenizer.load(folder)
    tally = Tally()
    examples = [chat("How many?", "Three."), chat("How <more>?", "Three.")._replace(row=2)]
    rows = tokenize_all(examples, tokenizer, WHOLE, tally)
    assert [row is None for row in rows] == [False, True]
    assert tally.refusal == (
        f"row 2: its token '<more>' has the id {config['vocab_size']}, "
        f"but the model's embedding has {config['vocab_size']} rows (vocab_size)"
    )
    (found,) = tally_findings(tally, False)
    assert (found.severity, found.kind, found.rows, found.row_count) == ("stops", BEYOND_KIND, (1,), 1)
    assert tally.notes == {BEYOND_EMBEDDING: 1}


BEYOND_KIND = "tokens-beyond-embedding"


def test_findings_name_rows_values_and_fixes(tmp_path: Path) -> None:
    tokenizer = TextTokenizer.load(folder_of(tmp_path, "chatml"))
    tally = Tally()
    rows = [chat("a", "b"), chat("a", "<|im_end|>")._replace(row=2), chat("<|im_start|>", "b")._replace(row=3)]
    tokenize_all(rows, tokenizer, WHOLE, tally)
    found = {x.kind: x for x in tally_findings(tally, False)}
    assert found["control-tokens-in-data"].rows == (1, 2)
    assert found["control-tokens-in-data"].text == (
        "2 rows hold control tokens of the model in their text, such as '<|im_end|>': they are read as plain text."
    )
    assert "--set special_tokens_in_data=true" in found["control-tokens-in-data"].fix
    tally.factor = 10.0
    assert next(x for x in tally_findings(tally, False) if x.kind == "control-tokens-in-data").row_count == 20


@pytest.mark.parametrize("name", ["generation"])
def test_generation_marks_agree_with_transformers(tmp_path: Path, name: str) -> None:
    from transformers import AutoTokenizer

    folder = make_folder(tmp_path / name, name)
    turns = [
        {"role": "user", "content": "How many?"},
        {"role": "assistant", "content": "Three."},
        {"role": "user", "content": "And now?"},
        {"role": "assistant", "content": "Four."},
    ]
    theirs = AutoTokenizer.from_pretrained(folder).apply_chat_template(
        turns, tokenize=True, return_dict=True, return_assistant_tokens_mask=True
    )
    example = Conversation(tuple(message(turn, "row 1") for turn in turns), (), 1)
    row, _ = row_of(example, TextTokenizer.load(folder))
    assert row.ids.tolist() == theirs["input_ids"]
    assert row.scored.astype(int).tolist() == theirs["assistant_masks"]


def test_generation_marks_decide_what_of_an_answer_is_a_target(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "generation_parts")
    source = (folder / "chat_template.jinja").read_text()
    half = source.replace("{%- generation -%}", "").replace(
        "{{- m.content + '<|im_end|>' -}}", "{%- generation -%}{{- m.content + '<|im_end|>' -}}"
    )
    (folder / "chat_template.jinja").write_text(half)
    tokenizer = TextTokenizer.load(folder)
    row, _ = row_of(chat("How many?", "Three.", reasoning_content="I count."), tokenizer)
    assert tokenizer.decode(row.ids[row.scored].tolist()) == "Three.<|im_end|>"
