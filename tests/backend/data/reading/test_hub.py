"""The hub's cache as an earlier download leaves it; the network is off in tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.data.reading import hub
from backend.data.reading.load import load
from backend.errors import UserError
from tests.backend.data.rows import jsonl, pairs


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def downloaded(cache: Path, repo: str, *names: str) -> None:
    folder = cache / f"datasets--{repo.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("a" * 40)
    for name in names:
        jsonl(folder / "snapshots" / ("a" * 40) / name, pairs(3))


def test_a_data_set_in_the_cache_is_read_offline(cache: Path) -> None:
    downloaded(cache, "some/thing", "main/train.jsonl", "main/test.jsonl", "other/train.jsonl")
    source = load("some/thing")
    assert len(source.rows) == 3
    assert source.notes == ("some/thing: main/train.jsonl.",)
    assert load("some/thing/other").notes == ("some/thing/other: other/train.jsonl.",)


def test_several_subsets_are_listed(cache: Path) -> None:
    downloaded(cache, "some/thing", "blue/train.jsonl", "red/train.jsonl")
    with pytest.raises(UserError, match="several subsets: blue, red; name one, such as some/thing/red"):
        load("some/thing")


def test_what_is_not_there_is_said(cache: Path) -> None:
    with pytest.raises(UserError, match=r"some/other is not a path on this box, the hub is switched off") as raised:
        load("some/other")
    assert raised.value.field == "data"


@pytest.mark.parametrize("reference", ["rows.jsonl", "./some/thing", "a/b.jsonl", "/abs/olute", "name"])
def test_paths_are_no_hub_ids(reference: str) -> None:
    assert not hub.is_hub_id(reference)
