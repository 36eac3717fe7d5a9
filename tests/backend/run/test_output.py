"""Whether a result can be copied to its destination is checked before the training."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.errors import UserError
from backend.run.output import refuse_unusable


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "row.txt").write_text("mine")
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    return tmp_path


@pytest.mark.parametrize("name", ["empty", "empty/new", "new/and/deep", "with space", "."])
def test_a_new_or_an_empty_folder_is_taken_and_left_as_it_was(name: str, place: Path) -> None:
    start = place / "empty" if name == "." else place
    refuse_unusable(str(start / name))
    assert not list((place / "empty").iterdir())
    assert sorted(path.name for path in place.iterdir()) == ["dangling", "empty", "full"]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("full", "it holds files already"),
        ("full/row.txt", "it is no folder"),
        ("full/row.txt/below", "Not a directory"),
        ("dangling", "it is no folder"),
        ("n" * 300, "File name too long"),
        ("new/" + "n" * 300 + "/deep", "File name too long"),
        ("nul\0", "embedded null"),
        ("not\udcffutf8", "utf-8"),
        ("/proc/nothing", "No such file"),
    ],
    ids=["full", "file", "below a file", "dangling", "long", "long in the middle", "nul", "bytes", "kernel"],
)
def test_anything_else_is_refused_in_one_sentence(name: str, why: str, place: Path) -> None:
    with pytest.raises(UserError) as refused:
        refuse_unusable(str(place / name))
    assert refused.value.field == "output"
    assert str(refused.value).startswith("output: ") and why in str(refused.value)
    assert str(refused.value).endswith("it takes a new or an empty folder")
    assert (place / "full" / "row.txt").read_text() == "mine"
