"""Some odd families of the survey: planned as they are, trained, loaded by plain transformers and peft, merged."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.answers import Method
from tests.bench.architectures import survey

pytestmark = pytest.mark.torch

CASES: list[tuple[str, Method]] = [
    ("gpt2", "lora"),  # layers stored as inputs x outputs, sizes under names of their own
    ("mamba", "lora"),  # layers whose kernels go past an adapter
    ("qwen3_next", "lora"),  # experts, linear attention
    ("gemma4", "lora"),  # wrappers
    ("qwen3_5", "full"),
    ("persimmon", "qlora"),
    ("deepseek_v3", "lora"),  # compressed attention, dense blocks before those with experts
    ("falcon", "full"),  # one matrix of queries, keys and values
    ("afmoe", "full"),  # a parameter that the family's own code keeps as it is
    ("bailing_hybrid", "lora"),  # files with other names than the model's
    ("bloom", "full"),  # no rotary embeddings
    ("gpt_oss", "full"),  # sinks, experts with biases
    ("llava", "full"),
    ("phi3", "qlora"),
]


@pytest.mark.parametrize(("family", "method"), CASES, ids=lambda value: value)
def test_it_is_trained_as_planned_and_loads_elsewhere(family: str, method: Method, tmp_path: Path) -> None:
    (outcome,) = survey(family, [method], tmp_path)

    assert (outcome.state, outcome.why) == ("right", "")
    assert outcome.trainable > 0


def test_an_encoder_is_refused_by_the_plan(tmp_path: Path) -> None:
    (outcome,) = survey("bert", ["lora"], tmp_path)

    assert outcome.state == "refused"
    assert "has no decoder of text" in outcome.why
