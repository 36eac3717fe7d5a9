from __future__ import annotations

import pytest

from backend.errors import UserError
from backend.model import known
from backend.model.known import Known


@pytest.mark.parametrize("model", known.models(), ids=lambda model: model.name)
def test_the_count_in_the_table_follows_from_the_sizes(model: Known) -> None:
    assert model.shape().parameters == model.parameters


@pytest.mark.parametrize(
    ("hub_id", "parameters"),
    [
        ("meta-llama/Llama-3.1-8B", 8_030_261_248),
        ("meta-llama/Llama-3.2-1B", 1_235_814_400),
        ("Qwen/Qwen2.5-7B", 7_615_616_512),
        ("Qwen/Qwen3-30B-A3B", 30_532_122_624),
        ("HuggingFaceTB/SmolLM2-135M-Instruct", 134_515_008),
    ],
)
def test_published_totals(hub_id: str, parameters: int) -> None:
    entry = known.by_name(hub_id)

    assert entry is not None
    assert entry[0].shape(entry[1]).parameters == parameters


def test_no_name_means_two_models() -> None:
    claimed: dict[str, str] = {}
    for model in known.models():
        for name in {model.name, *model.ids, *model.aliases}:
            assert claimed.setdefault(name.lower(), model.name) == model.name
    assert len(known.models()) == 39


def test_a_short_name_leads_to_the_hub_id_that_bears_it() -> None:
    entry = known.by_name("llama-3.1-8b-INSTRUCT")

    assert entry is not None
    assert entry[1] == "meta-llama/Llama-3.1-8B-Instruct"
    assert entry[0].shape(entry[1]).instruct
    assert not entry[0].shape().instruct


def test_a_chat_model_that_does_not_say_so_in_its_name() -> None:
    entry = known.by_name("qwen3-8b")

    assert entry is not None
    assert entry[0].shape(entry[1]).instruct
    assert not entry[0].shape("Qwen/Qwen3-8B-Base").instruct


@pytest.mark.parametrize(
    ("text", "expected"),
    [("8b", 8e9), ("0.5B", 0.5e9), ("135m", 135e6), ("70 B", 70e9), ("8", None), ("b", None), ("llama-8b", None)],
)
def test_size_words(text: str, expected: float | None) -> None:
    assert known.size_of(text) == expected


@pytest.mark.parametrize(
    ("size", "name"), [(8e9, "Llama-3.1-8B"), (0.5e9, "Qwen2.5-0.5B"), (70e9, "Llama-3.1-70B"), (30e9, "Qwen3-32B")]
)
def test_a_size_stands_for_the_nearest_dense_model(size: float, name: str) -> None:
    assert known.by_size(size, "x").name == name


@pytest.mark.parametrize("size", [405e9, 1e6, 0.0])
def test_a_size_that_nothing_comes_near_is_refused(size: float) -> None:
    with pytest.raises(UserError, match=r"no known model is near the size 405b .*give a folder or a hub id") as caught:
        known.by_size(size, "405b")
    assert caught.value.field == "model"


def test_a_misspelt_name_has_a_suggestion() -> None:
    assert "Qwen/Qwen2.5-7B" in known.suggestions("Qwen/Qwen-2.5-7B")
    assert known.suggestions("zzzz/completely-other") == []
