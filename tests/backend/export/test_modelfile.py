"""Modelfiles: the derived template writes what the chat template writes, or none is derived."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from backend.data.chat import template
from backend.data.chat.tokenizer import TextTokenizer
from backend.export import chat, modelfile
from tests.backend.export import gotemplate
from tests.tiny import CHATML, make_tokenizer

DEFAULT = "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nBe good.<|im_end|>\n{% endif %}" + CHATML
LLAMA3 = (
    "{% for message in messages %}{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + "
    "message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}"
    "{% endif %}{{ content }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
GEMMA = (
    "{{ bos_token }}"
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for message in messages %}{% set role = 'model' if message['role'] == 'assistant' else message['role'] %}"
    "{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{'<start_of_turn>model\n'}}{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] + '\n\n' %}"
    "{% set messages = messages[1:] %}{% else %}{% set system = '' %}{% endif %}{% for message in messages %}"
    "{% if message['role'] == 'user' %}"
    "{{ '[INST] ' + (system if loop.first else '') + message['content'] + ' [/INST]' }}"
    "{% else %}{{ ' ' + message['content'] + eos_token }}{% endif %}{% endfor %}"
)
LAST = (  # the system text stands before the last question, as in later Mistral templates
    "{{ bos_token }}{% set system = messages[0]['content'] if messages[0]['role'] == 'system' else '' %}"
    "{% for message in messages %}{% if message['role'] == 'user' %}"
    "[INST] {{ system + '\n\n' if loop.last and system else '' }}{{ message['content'] }}[/INST]"
    "{% elif message['role'] == 'assistant' %} {{ message['content'] }}{{ eos_token }}{% endif %}{% endfor %}"
)
GO = CHATML.replace("<|im_end|>", "{{ '{{ .System }}' }}")
QUOTES = CHATML.replace("<|im_end|>", '<|im_end|>"""')
DATED = CHATML + "{{ strftime_now('%d') }}"
TALKS: tuple[list[dict[str, str]], ...] = (
    [{"role": "user", "content": "How many {{ apples }}?"}],
    [{"role": "system", "content": "Be brief.\nAlways."}, {"role": "user", "content": "Why?"}],
    [
        {"role": "system", "content": "Count."},
        {"role": "user", "content": "One"},
        {"role": "assistant", "content": "Two"},
        {"role": "user", "content": "Three"},
    ],
    [
        {"role": "user", "content": "One"},
        {"role": "assistant", "content": "Two\n\nand a half"},
        {"role": "user", "content": "Three"},
        {"role": "assistant", "content": "Four"},
        {"role": "user", "content": "Five"},
    ],
)
KNOWN = {"chatml": CHATML, "default system": DEFAULT, "llama 3": LLAMA3, "gemma": GEMMA, "mistral": MISTRAL}


def tokenizer(folder: Path, source: str | None, **special: Any) -> TextTokenizer:
    make_tokenizer(folder)
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text())
    extra = ["<s>", "</s>", "<|eot_id|>", "<end_of_turn>", "<start_of_turn>", "[INST]"]
    added = {str(400 + at): {"content": text, "special": True} for at, text in enumerate(extra)}
    path.write_text(json.dumps(config | {"chat_template": source, "added_tokens_decoder": added} | special))
    return TextTokenizer.load(folder)


def trained(known: TextTokenizer, talk: list[dict[str, str]]) -> str:
    """The text as the run rendered it: a system text that the template refuses is put before the question."""
    try:
        return known.render(talk, add_generation_prompt=True)
    except template.Refusal:
        first = {"role": "user", "content": f"{talk[0]['content']}\n\n{talk[1]['content']}"}
        return known.render([first, *talk[2:]], add_generation_prompt=True)


def written(text: str) -> str:
    """The template of a Modelfile as Ollama's parser reads it."""
    return text.partition('TEMPLATE """')[2].partition('"""')[0]


@pytest.mark.parametrize("name", [*KNOWN, "none of its own"])
def test_it_writes_what_the_chat_template_writes(name: str, tmp_path: Path) -> None:
    bos = {} if name in ("chatml", "default system") else {"bos_token": "<s>", "eos_token": "</s>"}
    known = tokenizer(tmp_path, KNOWN.get(name), **bos)
    made = modelfile.of(known)
    assert made.pieces and made.text.startswith("FROM .\n")
    starts = "<s>" if name in ("llama 3", "gemma", "mistral") else ""
    for talk in TALKS:
        assert starts + gotemplate.render(written(made.text), talk) == trained(known, talk)


@pytest.mark.parametrize("source", [LAST, DATED, GO, QUOTES], ids=["last", "dated", "go", "quotes"])
def test_what_can_not_be_derived_is_left_out_and_said(source: str, tmp_path: Path) -> None:
    made = modelfile.write(tokenizer(tmp_path, source), tmp_path)
    assert "\nTEMPLATE" not in made.text and made.pieces is None
    assert "# No TEMPLATE: the chat template does not write turn by turn." in made.text
    assert "add_bos_token" not in (tmp_path / "tokenizer_config.json").read_text()


@pytest.mark.parametrize(
    ("source", "marks"),
    [
        (CHATML, ["<|im_end|>", "<|im_start|>"]),
        (LLAMA3, ["<|eot_id|>"]),
        (GEMMA, ["<end_of_turn>", "<start_of_turn>"]),
        (MISTRAL, ["</s>", "[INST]"]),
    ],
    ids=["chatml", "llama 3", "gemma", "mistral"],
)
def test_an_answer_stops_at_the_templates_marks(source: str, marks: list[str], tmp_path: Path) -> None:
    bos = {} if source is CHATML else {"bos_token": "<s>", "eos_token": "</s>"}
    known = tokenizer(tmp_path, source, **bos)
    assert modelfile.stops(known, chat.pieces(known)) == marks
    lines = modelfile.of(known).text.splitlines()
    assert [line for line in lines if line.startswith("PARAMETER")] == [f'PARAMETER stop "{mark}"' for mark in marks]


@pytest.mark.parametrize(("source", "begins"), [(CHATML, False), (LLAMA3, True), (MISTRAL, True)])
def test_the_runner_begins_with_bos_where_the_template_does(source: str, begins: bool, tmp_path: Path) -> None:
    bos = {} if source is CHATML else {"bos_token": "<s>", "eos_token": "</s>"}
    modelfile.write(tokenizer(tmp_path, source, **bos), tmp_path)
    assert json.loads((tmp_path / "tokenizer_config.json").read_text())["add_bos_token"] is begins
