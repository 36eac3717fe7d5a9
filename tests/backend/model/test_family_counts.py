"""Parameters, and those of an adapter, from config.json alone: equal to what transformers and peft made of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from backend.model.config import is_exact, shape_from_config
from backend.model.family import families
from tests.backend.model.family_counts import RANK

REAL: list[dict[str, Any]] = json.loads(Path(__file__).with_name("family_counts.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("real", REAL, ids=lambda real: real["config"]["model_type"])
def test_config_json_alone_says_how_many_parameters_there_are(real: dict[str, Any]) -> None:
    shape = shape_from_config(real["config"], "tiny")

    assert is_exact(real["config"])
    assert shape.parameters == real["parameters"]
    assert shape.lora_parameters(RANK) == real["trainable"]


def test_all_families_of_the_table_are_counted() -> None:
    assert {real["config"]["model_type"] for real in REAL} == set(families())
    assert len(families()) >= 60
