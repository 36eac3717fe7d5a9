"""`fttui chat`: prompts from a pipe, both sides answered, one sentence for what can't be."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from backend.errors import UserError
from backend.run.folder import RunFolder
from backend.training.chat import Answer, Talk
from backend.training.train import train
from tests.backend.training.helpers import new_run
from tui import cli
from tui.commands import chat


@pytest.fixture
def run(tiny_model: Path, questions: Path) -> RunFolder:
    """A finished LoRA run that has learned something."""
    folder = new_run(tiny_model, questions, "lora", learning_rate=2e-2, max_steps=6)
    assert train(folder) == "done"
    return folder


def ask(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], lines: str, *arguments: str) -> Any:
    monkeypatch.setattr(sys, "stdin", io.StringIO(lines))
    code = cli.run(["chat", *arguments])
    return code, *capsys.readouterr()


def written(model: Any, folder: Path, question: str) -> list[int]:
    """Twelve tokens of plain transformers and peft, whatever ends an answer."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    messages = [{"role": "user", "content": question}]
    ids = torch.tensor([tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)])
    model.generation_config.eos_token_id = None
    tokens = model.generate(input_ids=ids, max_new_tokens=12, min_new_tokens=12, do_sample=False, pad_token_id=0)
    return list(tokens[0, ids.shape[1] :].tolist())


def test_both_answer_as_plain_peft_and_transformers_do(
    run: RunFolder, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    question = "How many apples are left?"
    code, out, _ = ask(monkeypatch, capsys, f"{question}\n", "--tokens", "12")
    assert code == 0
    base = AutoModelForCausalLM.from_pretrained(tiny_model).eval()
    without = written(base, run.result, question)
    tuned = written(PeftModel.from_pretrained(base, run.result).eval(), run.result, question)
    lines = out.splitlines()
    assert lines[0] == f"> {question}" and lines[1].startswith("trained, ") and "tokens/s:" in lines[1]
    talk = Talk(run)
    talk._ends = []
    ids = talk._ids([{"role": "user", "content": question}])
    assert talk._generate(ids, 12, adapter=True) == tuned
    assert talk._generate(ids, 12, adapter=False) == without
    assert talk._generate(ids, 12, adapter=True) == tuned, "the adapter is on again"
    assert tuned != without
    assert lines[-1].startswith("memory: ")


def test_the_second_question_knows_the_first(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[int] = []

    def answer(self: Talk, messages: Any, tokens: int, *, adapter: bool = True) -> Answer:
        asked.append(len(messages))
        return Answer("yes", 1, 0.1)

    monkeypatch.setattr(Talk, "answer", answer)
    monkeypatch.setattr(sys, "stdin", io.StringIO("one\n\ntwo\n/reset\nthree\n/quit\nfour\n"))
    assert cli.run(["chat", "--adapter", "on"]) == 0
    assert asked == [1, 3, 1]
    assert capsys.readouterr().err.splitlines()[-2:] == ["loaded", "a new conversation"]


def test_what_the_model_can_not_take_ends_no_conversation(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = ask(monkeypatch, capsys, f"{'again ' * 600}\nagain\n", "--tokens", "3", "--adapter", "on")
    assert code == 0 and out.count("trained, ") == 1
    assert re.search(r"the conversation has [\d,]+ tokens, and the model takes 512; /reset begins a new one", out)
    template = "{{ raise_exception('roles must alternate') }}"
    monkeypatch.setattr(Talk, "_room", lambda *_: 1)
    talk = Talk(run)
    talk._tokenizer.chat_template = template
    with pytest.raises(UserError, match="refuses this conversation: roles must alternate; /reset begins"):
        talk.answer([{"role": "user", "content": "x"}], 1)


def test_a_whole_model_answers_alone(
    tiny_model: Path, questions: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(new_run(tiny_model, questions, "full", max_steps=1)) == "done"
    code, out, err = ask(monkeypatch, capsys, "hello\n", "--tokens", "4")
    assert code == 0 and out.count("tokens/s:") == 1 and "only what was trained answers" in err


def test_without_a_result_it_says_so(
    tiny_model: Path, questions: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = new_run(tiny_model, questions, "lora")
    code, _, err = ask(monkeypatch, capsys, "hello\n", folder.name)
    assert code == 2 and err.splitlines()[-1].startswith("fttui: ") and "result" in err and "Traceback" not in err


def test_answers_stand_side_by_side_on_a_wide_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = {"on": Answer("seven\x1b[31m apples " * 6, 9, 0.5), "off": Answer("I do not know.", 5, 0.5)}
    monkeypatch.setenv("COLUMNS", "100")
    chat._side_by_side(answers)
    out = capsys.readouterr().out
    assert all(" │" in line or len(line) <= 48 for line in out.splitlines())
    assert "\x1b" not in out and "I do not know." in out.splitlines()[1]
    monkeypatch.setenv("COLUMNS", "60")
    chat._side_by_side(answers)
    assert "│" not in capsys.readouterr().out
