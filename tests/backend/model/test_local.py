from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.numpy import load_file, save_file

from backend.errors import UserError
from backend.model.local import read_folder
from tests.tiny import make_model


def refused(folder: Path) -> str:
    with pytest.raises(UserError) as caught:
        read_folder(folder, "x")
    assert caught.value.field == "model"
    return str(caught.value)


def edit_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_whole_folder(tiny_model: Path) -> None:
    info = read_folder(tiny_model, "tiny")

    assert (info.kind, info.reference, info.folder, info.has_weights) == ("folder", "tiny", tiny_model, True)
    assert info.tokenizer_file == tiny_model / "tokenizer.json"
    assert info.weight_bytes == (tiny_model / "model.safetensors").stat().st_size
    assert info.weight_bytes > info.shape.parameters * 4
    assert (info.download_bytes, info.notes) == (0, ())


def test_config_alone_is_enough_for_planning(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((tiny_model / "config.json").read_bytes())

    info = read_folder(tmp_path, "x")

    assert not info.has_weights
    assert info.weight_bytes == info.shape.parameters * 2
    assert info.tokenizer_file is None
    assert info.notes == ("Only config.json is here: enough for planning, not for training.",)


def test_without_tokenizer_it_says_what_that_means(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "m")
    (folder / "tokenizer.json").unlink()

    assert any("tokens are estimated" in note for note in read_folder(folder, "x").notes)


def test_weights_of_another_size_than_config_says(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "m")
    edit_config(folder, num_hidden_layers=9)

    assert "63 tensors are missing from the files, the first is model.layers.2.self_attn.q_proj.weight" in refused(
        folder
    )


def test_a_tied_head_may_be_stored_twice(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "m", tie_word_embeddings=False)
    edit_config(folder, tie_word_embeddings=True)
    tensors = load_file(folder / "model.safetensors")
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].copy()
    save_file(tensors, folder / "model.safetensors")

    assert read_folder(folder, "x").notes == ()


def test_an_estimate_is_called_one(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "m")
    edit_config(folder, model_type="persimmon")

    assert any("parameters are counted in its files" in note for note in read_folder(folder, "x").notes)
    (folder / "model.safetensors").unlink()
    assert any("are an estimate" in note for note in read_folder(folder, "x").notes)


def test_a_multimodal_model_says_that_text_is_all(tmp_path: Path, tiny_model: Path) -> None:
    text = {**json.loads((tiny_model / "config.json").read_text()), "model_type": "gemma3_text"}
    config = {"architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3", "text_config": text}
    (tmp_path / "config.json").write_text(json.dumps(config))

    assert any("only its text part is counted" in note for note in read_folder(tmp_path, "x").notes)


def test_a_mixture_says_what_its_experts_miss(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "m")
    edit_config(folder, model_type="mixtral", num_local_experts=4)
    (folder / "model.safetensors").unlink()

    assert any("mixture of 4 experts" in note for note in read_folder(folder, "x").notes)


def test_a_folder_without_config(tmp_path: Path) -> None:
    assert "is no model: config.json is missing" in refused(tmp_path)


def test_a_folder_of_models_names_the_one_inside(tmp_path: Path) -> None:
    make_model(tmp_path / "inner")

    assert f"did you mean {tmp_path / 'inner'}?" in refused(tmp_path)


@pytest.mark.parametrize("text", ["{", "[1, 2]", "", "\xff"])
def test_a_broken_config(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text, encoding="latin-1")

    assert "config.json is broken" in refused(tmp_path)


def test_pickle_weights_only(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "m")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")

    assert "pickle files only" in refused(folder)


def test_a_folder_of_gguf_files(tmp_path: Path) -> None:
    (tmp_path / "model.Q4_K_M.gguf").write_bytes(b"GGUF")

    assert "is a GGUF, which is made for inference" in refused(tmp_path)


@pytest.mark.parametrize(
    ("content", "said"), [('{"base_model_name_or_path": "org/base"}', "its base model org/base"), ("{", "base model")]
)
def test_an_adapter_is_no_model(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "adapter_config.json").write_text(content)

    assert "is a LoRA adapter, not a model" in refused(tmp_path)
    assert said in refused(tmp_path)
