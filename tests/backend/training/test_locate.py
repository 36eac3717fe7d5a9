from __future__ import annotations

import logging
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import transformers
from huggingface_hub.utils._paths import filter_repo_objects

from backend.errors import UserError
from backend.model import stored
from backend.plan.job import Job
from backend.plan.plan import Plan
from backend.training import locate
from backend.training.quiet import libraries_to
from tests.tiny import edit_header, make_model


def job(model: str, folder: str) -> Job:
    return Job(model=model, model_folder=folder, data="", plan=Plan(), device="cpu", device_name="CPU")


def test_a_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    mine = job(str(tmp_path), str(tmp_path))
    assert locate.model_folder(mine, tmp_path, lambda text: None) == tmp_path
    assert locate.base_name(mine, tmp_path) == str(tmp_path)


def test_a_hub_model_keeps_its_name(tmp_path: Path) -> None:
    assert locate.base_name(replace(job("llama-8b", str(tmp_path)), hub_id="meta/llama"), tmp_path) == "meta/llama"


def test_the_demo_is_named_by_its_folder(tmp_path: Path) -> None:
    assert locate.base_name(job("demo", "demo"), tmp_path) == str(tmp_path)


def test_what_is_missing_is_fetched_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def download(repository: str, **options: Any) -> str:
        asked.update(options, repository=repository)
        return str(make_model(tmp_path / "c0ffee"))

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    said: list[str] = []
    for revision in (None, "c0ffee"):  # a resumed run keeps the base that it began with
        folder = locate.model_folder(job("meta/llama", "meta/llama"), tmp_path, said.append)
        assert folder == tmp_path / "c0ffee" and (asked["repository"], asked["revision"]) == ("meta/llama", revision)
    assert said[1:] == ["fetching meta/llama, or what is missing of it, from the hub"]


def test_what_was_fetched_is_looked_at_before_it_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, run = make_model(tmp_path / "c0ffee"), tmp_path / "run"
    edit_header(folder, "model.layers.0.mlp.up_proj.weight", "F8_E4M3")
    run.mkdir()
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: str(folder))
    for _ in range(2):  # also if it is resumed
        with pytest.raises(UserError, match=r"its tensor .*up_proj.weight is F8_E4M3"):
            locate.model_folder(job("meta/llama", "meta/llama"), run, print)


def test_a_repository_without_weights_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_model(tmp_path / "c0ffee")
    (folder / "model.safetensors").unlink()
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: str(folder))
    with pytest.raises(UserError, match="meta/llama has no weights in safetensors on the hub"):
        locate.model_folder(job("meta/llama", "meta/llama"), tmp_path, print)


def test_a_folder_that_is_gone_is_no_repository(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the model's folder /models/tiny is gone; put it back there"):
        locate.model_folder(job("/models/tiny", "/models/tiny"), tmp_path, print)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"", b"no hash\n", b"9" * 5000])
def test_a_damaged_note_of_a_hash_is_made_anew(content: bytes, tmp_path: Path) -> None:
    (tmp_path / locate.WEIGHTS).write_bytes(content)
    for _ in range(2):
        assert locate.model_folder(job(str(tmp_path), str(tmp_path)), tmp_path, print) == tmp_path
    assert (tmp_path / locate.WEIGHTS).read_text() == stored.fingerprint(tmp_path)


def test_of_a_repository_only_what_is_loaded_is_fetched() -> None:
    wanted = ["model.safetensors", "config.json", "chat_template.jinja", "additional_chat_templates/tool_use.jinja"]
    left = ["pytorch_model.bin", "original/consolidated.00.pth", "original/params.json", "onnx/config.json"]
    left += ["consolidated.safetensors", "adapters/model.safetensors"]
    found = filter_repo_objects(wanted + left, allow_patterns=locate.WANTED, ignore_patterns=locate.UNWANTED)
    assert list(found) == wanted


def test_libraries_warn_into_the_log_and_not_on_the_screen(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "trainer.log"
    transformers.utils.logging.get_logger()  # it creates its handler on first use
    handlers = logging.getLogger("transformers").handlers[:]
    with libraries_to(log) as own:
        logging.getLogger("transformers.modeling").warning("from transformers")
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            logging.captureWarnings(True)
            warnings.warn("from warnings", stacklevel=1)
        own.error("from us")
    text = log.read_text()
    assert "from transformers" in text and "from us" in text
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("transformers").handlers == handlers
