"""A model that doesn't match its weight files is refused before its first step."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from backend.errors import UserError
from backend.training import locate
from backend.training.train import train
from tests.backend.training.helpers import events, new_run
from tests.tiny import make_model


def failure(folder: Path, questions: Path, method: Any = "lora") -> str:
    run = new_run(folder, questions, method, max_steps=1)
    assert train(run) == "failed"
    assert not events(run, "step")
    return str(events(run, "run_finished")[-1]["error"])


def edited(folder: Path, **config: Any) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | config))
    return folder


def test_another_prefix_is_no_model(tmp_path: Path, questions: Path) -> None:
    folder = make_model(tmp_path / "m")
    tensors = load_file(folder / "model.safetensors")
    renamed = {name.replace("model.", "language_model.model.", 1): x for name, x in tensors.items()}
    save_file(renamed, folder / "model.safetensors", metadata={"format": "pt"})
    text = failure(folder, questions)
    assert "tensors are missing from the files, the first is" in text
    assert "the first is language_model.model." in text


@pytest.mark.parametrize("method", ["lora", "qlora", "full"])
def test_more_layers_than_the_files_have(tmp_path: Path, questions: Path, method: str) -> None:
    folder = edited(make_model(tmp_path / "m"), num_hidden_layers=3)
    assert "the first is model.layers.2." in failure(folder, questions, method)


def test_fewer_layers_than_the_files_have(tmp_path: Path, questions: Path) -> None:
    folder = edited(make_model(tmp_path / "m"), num_hidden_layers=1)
    assert "in the files without a place in the model, the first is model.layers.1." in failure(folder, questions)


def test_a_head_that_is_missing(tmp_path: Path, questions: Path) -> None:
    folder = edited(make_model(tmp_path / "m"), tie_word_embeddings=False)
    assert "the first is lm_head.weight" in failure(folder, questions)


def test_another_size(tmp_path: Path, questions: Path) -> None:
    folder = edited(make_model(tmp_path / "m"), intermediate_size=96)
    text = failure(folder, questions)
    assert "has the shape 128x64 where config.json means 96x64" in text or "has the shape 64x128" in text


def test_a_base_that_changed_since_the_run_began(tmp_path: Path, questions: Path) -> None:
    folder = make_model(tmp_path / "m")
    run = new_run(folder, questions, max_steps=1)
    assert train(run) == "done"
    tensors = load_file(folder / "model.safetensors")
    changed = {name: x + np.float32(0.01) for name, x in tensors.items()}
    save_file(changed, folder / "model.safetensors", metadata={"format": "pt"})
    assert train(run) == "failed"
    assert "have changed since this run began" in events(run, "run_finished")[-1]["error"]


def test_a_configuration_that_changed_since_the_run_began(tmp_path: Path, questions: Path) -> None:
    folder = make_model(tmp_path / "m")
    run = new_run(folder, questions, max_steps=1)
    assert train(run) == "done"
    edited(folder, transformers_version="9.0", dtype="bfloat16")
    assert locate.model_folder(run.job(), run.path, print) == folder

    edited(folder, rope_theta=500000.0)
    with pytest.raises(UserError, match=r"has changed since this run began \(rope_theta was 10000\.0\)"):
        locate.model_folder(run.job(), run.path, print)


def with_tensors(folder: Path, **tensors: Any) -> Path:
    found = load_file(folder / "model.safetensors")
    changed = {name.replace("__", "."): change(found) for name, change in tensors.items()}
    save_file(found | changed, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_no_numbers(tmp_path: Path, questions: Path, value: float) -> None:
    folder = with_tensors(make_model(tmp_path / "m"), model__norm__weight=lambda _: np.full(64, value, np.float32))
    assert "model.norm.weight in" in (text := failure(folder, questions))
    assert "holds values that are no numbers" in text


def test_an_embedding_of_zeros(tmp_path: Path, questions: Path) -> None:
    zeros = np.zeros((384, 64), np.float32)
    folder = with_tensors(make_model(tmp_path / "m"), model__embed_tokens__weight=lambda _: zeros)
    assert "holds nothing but zeros" in failure(folder, questions)


def test_a_second_matrix_where_head_and_embedding_are_tied(tmp_path: Path, questions: Path) -> None:
    folder = make_model(tmp_path / "m")
    with_tensors(folder, lm_head__weight=lambda found: 2 * found["model.embed_tokens.weight"])
    assert "set tie_word_embeddings to false" in failure(folder, questions)


def test_a_configuration_that_transformers_refuses(tmp_path: Path, questions: Path) -> None:
    text = failure(edited(make_model(tmp_path / "m"), initializer_range="x"), questions)
    assert "transformers refuses its files" in text
    assert "initializer_range" in text
    assert "\n" not in text
