"""Plan fields from text: what is taken, and the sentence for what is not."""

from __future__ import annotations

import pytest

from backend.errors import UserError
from backend.plan import fields


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("rank", "32", 32),
        ("learning_rate", "1e-4", 1e-4),
        ("packing", "false", False),
        ("method", "lora", "lora"),
        ("target_modules", "q_proj, v_proj", "q_proj,v_proj"),
        ("epochs", "2", 2.0),
        ("max_grad_norm", "0", 0.0),
    ],
)
def test_text_becomes_the_fields_type(key: str, text: str, value: object) -> None:
    parsed = fields.parse(key, text)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("learnign_rate=1", "did you mean 'learning_rate'"),
        ("rank=0", "a whole number of at least 1"),
        ("rank=many", "a whole number"),
        ("rank=1.5", "a whole number"),
        ("dropout=1", "a number below 1"),
        ("learning_rate=-1", "a number above 0"),
        ("learning_rate=nan", "a number above 0"),
        ("learning_rate=inf", "a finite number"),
        ("schedule=cosin", "cosine, linear or constant"),
        ("packing=maybe", "true or false"),
        ("target_modules=", "all-linear or a comma list"),
        ("rank", "--set takes key=value"),
    ],
)
def test_a_refusal_names_the_field_and_the_fix(setting: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence) as refusal:
        fields.parse_settings([setting])
    assert setting.split("=")[0] in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_value_written_as_text_reads_back_the_same() -> None:
    for key, value in (("learning_rate", 2e-4), ("packing", True), ("rank", 16), ("schedule", "cosine")):
        assert fields.parse(key, fields.text(value)) == value


def test_the_last_value_of_a_field_counts() -> None:
    """As with options of other commands: a script may add its own after those that it is given."""
    assert fields.parse_settings(["rank=8", "seed=1", "rank = 16"]) == {"rank": 16, "seed": 1}
