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


def test_subsets_within_one_folder_are_not_mixed(cache: Path) -> None:
    downloaded(cache, "some/thing", "data/all/train-0.jsonl", "data/all/validation-0.jsonl", "data/red/train-0.jsonl")
    source = load("some/thing")
    assert source.notes[0] == "some/thing: data/all/train-0.jsonl." and source.held_out is not None
    downloaded(cache, "some/other", "data/blue/train.jsonl", "data/red/train.jsonl")
    with pytest.raises(UserError, match="data/red; name one, such as some/other/data/red, or some/other/data for all"):
        load("some/other")
    assert len(load("some/other/data/red").files) == 1
    assert len(load("some/other/data").files) == 2


def test_folders_of_parts_are_one_subset(cache: Path) -> None:
    downloaded(cache, "some/thing", "data/part-0/train.jsonl", "data/part-1/train.jsonl")
    assert "data/part-1/train.jsonl" in load("some/thing").notes[0]


def test_a_file_of_a_data_set_can_be_named(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    downloaded(cache, "some/thing", "data/train_sft.jsonl", "data/train_prefs.jsonl", "test.json")
    assert load("some/thing").files[0].name == "train_sft.jsonl"
    for name in ("data/train_prefs.jsonl", "test.json"):
        source = load(f"some/thing/{name}")
        assert source.notes == (f"some/thing/{name}: {name}.",)
    with pytest.raises(UserError, match=r"no file data/dev\.json; it holds data/train_prefs\.jsonl, data/"):
        load("some/thing/data/dev.json")
    with pytest.raises(UserError, match=r"^a/b/rows\.jsonl is not a path on this box"):
        load("a/b/rows.jsonl")
    (tmp_path / "some").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"some/thing/test\.json does not exist"):
        load("some/thing/test.json")
