from __future__ import annotations

import logging
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import transformers

from backend.planner.plan import Plan
from backend.run.job import Job
from backend.training import locate
from backend.training.quiet import libraries_to


def job(model: str, folder: str) -> Job:
    return Job(model=model, model_folder=folder, data="", plan=Plan(), device="cpu", device_name="CPU")


def test_a_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    mine = job(str(tmp_path), str(tmp_path))
    assert locate.model_folder(mine, lambda text: None) == tmp_path
    assert locate.base_name(mine, tmp_path) == str(tmp_path)


def test_a_hub_model_keeps_its_name(tmp_path: Path) -> None:
    assert locate.base_name(replace(job("llama-8b", str(tmp_path)), hub_id="meta/llama"), tmp_path) == "meta/llama"


def test_the_demo_is_named_by_its_folder(tmp_path: Path) -> None:
    assert locate.base_name(job("demo", "demo"), tmp_path) == str(tmp_path)


def test_what_is_missing_is_fetched_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def download(repository: str, **options: Any) -> str:
        asked.update(options, repository=repository)
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    said: list[str] = []
    assert locate.model_folder(job("meta/llama", "meta/llama"), said.append) == tmp_path
    assert asked["repository"] == "meta/llama" and "*.safetensors" in asked["allow_patterns"]
    assert not any(pattern.endswith(".bin") for pattern in asked["allow_patterns"])
    assert said == ["fetching meta/llama, or what is missing of it, from the hub"]


def test_libraries_warn_into_the_log_and_not_on_the_screen(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "trainer.log"
    transformers.utils.logging.get_logger()  # it makes its handler when first asked
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
