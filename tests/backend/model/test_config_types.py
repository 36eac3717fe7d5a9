"""The types of config.json's values, against what transformers' own classes accept."""

from __future__ import annotations

from typing import Any

import pytest

from backend.model import config_types

VALUES: list[Any] = [None, 0, 3, 0.5, True, "x", [1], ["x"], {}]


@pytest.mark.parametrize("family", ["llama", "gemma3_text", "qwen3_moe", "gpt2"])
def test_only_what_transformers_refuses_is_a_fault(family: str) -> None:
    from transformers import CONFIG_MAPPING

    made, found = CONFIG_MAPPING[family], 0
    for key in config_types._fields(family):
        for value in VALUES:
            if list(config_types.faults({"model_type": family, key: value})):
                found += 1
                with pytest.raises(Exception, match=r"\S"):
                    made.from_dict({key: value})
    assert found > 50


def test_sizes_and_truth_values_of_a_family_are_known() -> None:
    fields = config_types._fields("llama")

    assert fields["max_position_embeddings"] == ("int",)
    assert fields["eos_token_id"] == ("int", "list[int]", "None")
    assert "rope_parameters" not in fields


def test_a_family_that_transformers_lacks_has_no_faults() -> None:
    assert list(config_types.faults({"model_type": "../foo", "hidden_size": None})) == []
