"""Adapters read from their files: what they are, what is damaged, and whether they belong to a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from backend.errors import UserError
from backend.model import adapter, adapter_fit, find
from tests.backend.adapter_files import make_adapter
from tests.tiny import make_model


def test_its_settings_are_the_plans_fields(tmp_path: Path) -> None:
    found = adapter.read(make_adapter(tmp_path / "a", use_rslora=True))
    assert found.settings() == {
        "rank": 4,
        "alpha": 8.0,
        "target_modules": "q_proj,v_proj",
        "use_dora": False,
        "use_rslora": True,
        "modules_to_save": "",
    }
    assert found.is_usual
    assert found.parameters() == 2 * 4 * (64 + 64 + 64 + 32)


@pytest.mark.parametrize(
    "odd",
    [
        {"rank_pattern": {"q_proj": 8}},
        {"alpha_pattern": {"q_proj": 8}},
        {"layers_to_transform": [0]},
        {"bias": "all"},
        {"trainable_token_indices": [3]},
    ],
    ids=lambda odd: next(iter(odd)),
)
def test_what_a_plan_cannot_say_is_not_usual(odd: dict[str, Any], tmp_path: Path) -> None:
    assert not adapter.read(make_adapter(tmp_path / "a", **odd)).is_usual


@pytest.mark.parametrize(
    ("odd", "said"),
    [
        ({"init_lora_weights": "pissa_niter_16"}, "init_lora_weights 'pissa_niter_16'"),
        ({"init_lora_weights": "olora"}, "init_lora_weights 'olora'"),
        ({"init_lora_weights": "loftq", "loftq_config": {"loftq_bits": 4}}, "init_lora_weights 'loftq'"),
        ({"layer_replication": [[0, 2], [1, 2]]}, "layer_replication"),
        ({"alora_invocation_tokens": [1, 2]}, "alora_invocation_tokens"),
        ({"use_qalora": True}, "use_qalora"),
        ({"lora_bias": True}, "lora_bias"),
        ({"a_later_field": {"of": "peft"}}, "a_later_field"),
    ],
    ids=str,
)
def test_matrices_that_mean_something_else_are_not_trained_further(
    odd: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=f"sets {said}, which means something that is not done here"):
        adapter.read(make_adapter(tmp_path / "a", **odd))


def test_fields_that_change_nothing_once_it_is_trained_are_taken(tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "init_lora_weights": "gaussian",
        "qalora_group_size": 16,
        "a_later_field": None,
        "peft_version": "1.0",
    }
    assert adapter.read(make_adapter(tmp_path / "a", **settings)).is_usual


@pytest.mark.parametrize("said", [".*(q|v)_proj", "all-linear", None, ["q_proj", "v_proj", "foo"]], ids=str)
def test_its_layers_are_those_that_it_has_matrices_for(said: Any, tmp_path: Path) -> None:
    found = adapter.read(make_adapter(tmp_path / "a", target_modules=said))
    assert (found.target_modules, found.is_usual) == ("q_proj,v_proj", True)


QUERY = "base_model.model.model.layers.0.self_attn.q_proj"
OUTPUT = "base_model.model.model.layers.0.self_attn.o_proj"


def changed(folder: Path, tensors: dict[str, np.ndarray[Any, Any]]) -> Path:
    path = folder / "adapter_model.safetensors"
    save_file(load_file(path) | tensors, path)
    return folder


@pytest.mark.parametrize(
    ("settings", "tensors", "said"),
    [
        ({"target_modules": ["q_proj"]}, {}, "matrices for model.layers.0.self_attn.v_proj, which adapter_config.json"),
        ({"use_dora": True}, {}, "says use_dora true, and its tensors are otherwise"),
        ({}, {"base_model.model.model.norm.weight": np.ones(64)}, "holds model.norm.weight, which"),
        ({}, {"base_model.model.lm_head.weight": np.ones((384, 64))}, "holds lm_head.weight, which"),
        ({}, {"foo": np.ones(2)}, "its tensor foo is not named as peft names them"),
        ({}, {f"{QUERY}.lora_A.second.weight": np.ones((4, 64))}, "lora_A.second.weight is not named as peft"),
        ({}, {f"{QUERY}.lora_B.weight": np.ones((64, 5))}, "lora_[AB].weight has no second matrix of the same rank"),
        ({}, {f"{OUTPUT}.lora_B.weight": np.ones((64, 4))}, "lora_B.weight has no second matrix"),
        ({}, {f"{QUERY}.lora_A.weight": np.full((4, 64), np.nan, np.float32)}, "holds values that are no numbers"),
    ],
    ids=["layers", "lengths", "norm", "head", "prefix", "second", "ranks", "alone", "nan"],
)
def test_file_and_configuration_agree(
    settings: dict[str, Any], tensors: dict[str, Any], said: str, tmp_path: Path
) -> None:
    folder = changed(make_adapter(tmp_path / "a", **settings), tensors)
    with pytest.raises(UserError, match=said):
        adapter.read(folder)


def test_an_embedding_with_rows_for_other_tokens_is_of_another_model(tiny_model: Path, tmp_path: Path) -> None:
    folder = make_adapter(tmp_path / "a", modules_to_save=["embed_tokens"])
    name = "base_model.model.model.embed_tokens.weight"
    changed(folder, {name: np.ones((390, 64), np.float32)})
    with pytest.raises(UserError, match=r"its model\.embed_tokens is 390x64, the model's 384x64"):
        adapter_fit.refuse_other_model(adapter.read(folder), find.find(str(tiny_model)))
    both = {name: np.ones((384, 64), np.float32), "base_model.model.lm_head.weight": np.ones((384, 64), np.float32)}
    changed(folder, both)  # as peft writes a matrix that both layers share
    adapter_fit.refuse_other_model(adapter.read(folder), find.find(str(tiny_model)))


def test_layers_of_another_prefix_are_of_another_model(tiny_model: Path, tmp_path: Path) -> None:
    path = make_adapter(tmp_path / "a") / "adapter_model.safetensors"
    found = {name.replace("base_model.model.", "base_model.model._orig_mod."): x for name, x in load_file(path).items()}
    save_file(found, path)
    with pytest.raises(
        UserError, match=r"matrices for _orig_mod\.model\.layers\.0\.self_attn\.q_proj, which the model lacks"
    ):
        adapter_fit.refuse_other_model(adapter.read(tmp_path / "a"), find.find(str(tiny_model)))


def damaged(folder: Path, how: str) -> None:
    config, weights = folder / "adapter_config.json", folder / "adapter_model.safetensors"
    if how == "cut":
        weights.write_bytes(weights.read_bytes()[:-10])
    elif how == "no header":
        weights.write_bytes(b"\xff" * 100)
    elif how == "no config":
        config.unlink()
    elif how == "no json":
        config.write_bytes(b'{"r": ')
    elif how == "wrong type":
        config.write_text('{"peft_type": "LORA", "r": "four"}')
    elif how == "pickle":
        weights.rename(folder / "adapter_model.bin")
    elif how == "another rank":
        config.write_text(config.read_text().replace('"r": 4', '"r": 8'))
    elif how == "no scale":
        config.write_text(config.read_text().replace('"lora_alpha": 8', '"lora_alpha": 0'))
    elif how == "whole numbers":
        save_file({"base_model.model.x.lora_A.weight": np.zeros((4, 64), np.int32)}, weights)
    elif how == "vectors":
        save_file({"base_model.model.x.lora_A.weight": np.zeros(4, np.float32)}, weights)
    elif how == "another kind":
        config.write_text('{"peft_type": "IA3"}')


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ("cut", "adapter_model.safetensors is damaged or cut short"),
        ("no header", "adapter_model.safetensors is damaged or cut short"),
        ("no config", "is no adapter: adapter_config.json is missing"),
        ("no json", "adapter_config.json is damaged"),
        ("wrong type", "adapter_config.json is damaged"),
        ("pickle", "a pickle, which can run any code"),
        ("another rank", "says rank 8, its matrices have 4"),
        ("no scale", "no lora_alpha above 0"),
        ("whole numbers", "its tensor base_model.model.x.lora_A.weight is I32"),
        ("vectors", "matrices that are none"),
        ("another kind", "holds a 'IA3' adapter"),
    ],
)
def test_what_is_damaged_is_refused_in_a_sentence(how: str, sentence: str, tmp_path: Path) -> None:
    damaged(make_adapter(tmp_path / "a"), how)
    with pytest.raises(UserError, match=sentence) as refusal:
        adapter.read(tmp_path / "a")
    assert refusal.value.field == "adapter" and "\n" not in str(refusal.value)


def test_it_fits_the_model_that_it_was_trained_over(tiny_model: Path, tmp_path: Path) -> None:
    model = find.find(str(tiny_model))
    adapter_fit.refuse_other_model(adapter.read(make_adapter(tmp_path / "a", base=str(tiny_model))), model)
    adapter_fit.refuse_other_model(adapter.read(make_adapter(tmp_path / "b", base="/gone/away")), model)


def test_another_base_is_refused_by_sizes_by_name_and_by_weights(tiny_model: Path, tmp_path: Path) -> None:
    model = find.find(str(tiny_model))
    wide = find.find(str(make_model(tmp_path / "wide", hidden_size=96)))
    alike = make_model(tmp_path / "alike", seed=7)
    found = adapter.read(make_adapter(tmp_path / "a"))
    with pytest.raises(UserError, match=r"its model.layers.0.self_attn.q_proj is 64x64, the model's 96x64"):
        adapter_fit.refuse_other_model(found, wide)
    deep = adapter.read(make_adapter(tmp_path / "deep", layers=3))
    with pytest.raises(UserError, match=r"matrices for model.layers.2.self_attn.q_proj, which the model lacks"):
        adapter_fit.refuse_other_model(deep, model)
    other = adapter.read(make_adapter(tmp_path / "other", base=str(alike)))
    with pytest.raises(UserError, match=f"it was trained over {alike}.*; give its base with --model"):
        adapter_fit.refuse_other_model(other, model)
    hub = adapter.read(make_adapter(tmp_path / "hub", base="org/other-model"))
    known = find.find("8b")
    assert known.hub_id is None or known.hub_id != "org/other-model"
    adapter_fit.refuse_other_model(hub, model)  # a folder has no hub id: the sizes decide
    assert adapter_fit.unsure(hub, model).startswith("The adapter names org/other-model as its base: its sizes fit")
    assert not adapter_fit.unsure(other, model)
