"""Rotary settings of a result under the names that transformers 4, Ollama and MLX read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoConfig

from backend.training import older_names

SIZES = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
LLAMA3 |= {"original_max_position_embeddings": 256}
FACTORS = {"short_factor": [1.0] * 8, "long_factor": [1.5] * 8}
BASES: dict[str, dict[str, Any]] = {
    "a base of its own": {"model_type": "qwen2", "rope_theta": 1000000.0},
    "scaled": {"model_type": "llama", "rope_theta": 500000.0, "rope_scaling": LLAMA3},
    "by its older key": {"model_type": "llama", "rope_theta": 5e5, "rope_scaling": {"type": "linear", "factor": 2.0}},
    "longrope": {
        "model_type": "phi3",
        "rope_theta": 10000.0,
        "original_max_position_embeddings": 256,
        "rope_scaling": {"type": "longrope", **FACTORS},
        "pad_token_id": 0,
    },
    "a part of each head": {"model_type": "gpt_neox", "rotary_pct": 0.5, "rotary_emb_base": 30000},
    "two kinds of blocks": {
        "model_type": "gemma3_text",
        "rope_theta": 2000000.0,
        "rope_local_base_freq": 20000.0,
        "rope_scaling": {"rope_type": "linear", "factor": 8.0},
    },
    "in a wrapper": {
        "model_type": "qwen2_vl",
        "text_config": SIZES
        | {"model_type": "qwen2_vl_text", "rope_theta": 3e6}
        | {"rope_scaling": {"type": "mrope", "mrope_section": [2, 3, 3]}},
    },
}
ROPE = ("rope_", "rotary", "original_max")


def as_read(folder: Path) -> list[dict[str, Any]]:
    config = AutoConfig.from_pretrained(folder)
    found = [getattr(x, "rope_parameters", None) or {} for x in (config, config.get_text_config())]
    return [{key: value for key, value in x.items() if key != "type"} for x in found]


def written(folder: Path, config: dict[str, Any]) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def rope(config: dict[str, Any]) -> dict[str, Any]:
    inner = config.get("text_config", config)
    return {key: value for key, value in inner.items() if key.startswith(ROPE) and key != "rope_parameters"}


@pytest.mark.parametrize("name", BASES)
def test_they_are_as_in_the_base(name: str, tmp_path: Path) -> None:
    base, result = written(tmp_path / "base", SIZES | BASES[name]), tmp_path / "result"
    AutoConfig.from_pretrained(base).save_pretrained(result)
    older_names.add(result, base)
    config = json.loads((result / "config.json").read_text())
    assert rope(BASES[name]).items() <= rope(config).items()
    assert as_read(result) == as_read(base)


@pytest.mark.parametrize("name", ["a base of its own", "scaled", "longrope"])
def test_they_are_found_if_the_base_has_the_newer_name_alone(name: str, tmp_path: Path) -> None:
    older, newer = written(tmp_path / "older", SIZES | BASES[name]), tmp_path / "newer"
    AutoConfig.from_pretrained(older).save_pretrained(newer)
    wanted = as_read(newer)
    older_names.add(newer, newer)
    config, said = json.loads((newer / "config.json").read_text()), BASES[name]
    assert config["rope_theta"] == said["rope_theta"]
    assert said.get("rope_scaling", {}).items() <= config.get("rope_scaling", {}).items()
    assert as_read(newer) == wanted


def test_a_config_with_the_older_names_alone_stays_byte_for_byte(tmp_path: Path) -> None:
    base = written(tmp_path / "base", SIZES | BASES["scaled"])
    before = (base / "config.json").read_bytes()
    older_names.add(base, base)
    assert (base / "config.json").read_bytes() == before


def test_nothing_is_changed_if_other_settings_would_be_read(tmp_path: Path) -> None:
    base = written(tmp_path / "base", SIZES | BASES["scaled"])
    result = written(tmp_path / "result", SIZES | {"model_type": "llama", "rope_parameters": {"rope_type": "default"}})
    before = (result / "config.json").read_bytes()
    older_names.add(result, base)
    assert (result / "config.json").read_bytes() == before
