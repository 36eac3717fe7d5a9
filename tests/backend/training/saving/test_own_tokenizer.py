"""A result's tokenizer produces the tokens of the training, whatever class transformers has for the family."""

from __future__ import annotations

import json
from pathlib import Path

from transformers import AutoTokenizer

from backend.data.chat.tokenizer import TextTokenizer
from backend.training.saving import own_tokenizer, result
from backend.training.train import train
from tests.backend.training.helpers import events, new_run
from tests.tiny import make_model

TEXT = "Tom has 12345 apples,  doesn't he?"


def test_transformers_builds_qwen2_s_tokenizer_anew(tmp_path: Path, questions: Path) -> None:
    base = make_model(tmp_path / "base", "qwen2")  # its tokenizer.json is not Qwen2's
    wanted = TextTokenizer.load(base).encode(TEXT).ids
    assert AutoTokenizer.from_pretrained(base)(TEXT)["input_ids"] != wanted

    run = new_run(base, questions, max_steps=1, eval_fraction=0)
    assert train(run) == "done"

    assert TextTokenizer.load(run.result).encode(TEXT).ids == wanted
    assert AutoTokenizer.from_pretrained(run.result)(TEXT)["input_ids"] == wanted
    assert any("otherwise than this model's tokenizer.json" in event["text"] for event in events(run, "log"))


def test_a_tokenizer_that_is_read_as_it_is(tiny_model: Path) -> None:
    assert not own_tokenizer.differs(result.tokenizer_of(tiny_model, None), tiny_model)


def test_it_is_saved_with_names_that_transformers_4_reads(tmp_path: Path) -> None:
    base = make_model(tmp_path / "base")
    path = base / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"additional_special_tokens": ["<|x|>"]}))
    tokenizer = AutoTokenizer.from_pretrained(base)

    own_tokenizer.save(tokenizer, tmp_path / "saved")

    settings = json.loads((tmp_path / "saved" / "tokenizer_config.json").read_text())
    assert settings["tokenizer_class"] == "PreTrainedTokenizerFast", "4 has no TokenizersBackend"
    assert settings["additional_special_tokens"] == ["<|x|>"] and "extra_special_tokens" not in settings
    again = AutoTokenizer.from_pretrained(tmp_path / "saved")
    assert again.all_special_tokens == tokenizer.all_special_tokens
    assert again("a <|x|>")["input_ids"] == tokenizer("a <|x|>")["input_ids"]


def test_a_template_of_the_processor_alone_is_saved(tmp_path: Path) -> None:
    base = make_model(tmp_path / "base")
    path = base / "tokenizer_config.json"
    settings = json.loads(path.read_text())
    (base / "chat_template.json").write_text(json.dumps({"chat_template": settings.pop("chat_template")}))
    path.write_text(json.dumps(settings))

    tokenizer = result.tokenizer_of(base, None)

    turns = [{"role": "user", "content": "a"}]
    assert tokenizer.apply_chat_template(turns, tokenize=False) == TextTokenizer.load(base).render(turns)
