"""A small file is replaced in one step, also by two writers at once, and a link stays a link."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from backend import atomic


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """As of a user who keeps presets and settings elsewhere."""
    kept, link = tmp_path / "kept" / "mine.toml", tmp_path / "mine.toml"
    kept.parent.mkdir()
    kept.write_text("old")
    link.symlink_to("kept/mine.toml")
    atomic.write(link, "new")
    assert link.is_symlink() and kept.read_text() == "new"
    assert [path.name for path in kept.parent.iterdir()] == ["mine.toml"]


def test_a_link_that_leads_nowhere_or_in_a_circle_is_replaced(tmp_path: Path) -> None:
    for name, target in (("nowhere", "not-there"), ("circle", "circle")):
        (tmp_path / name).symlink_to(target)
        atomic.write(tmp_path / name, "new")
        assert not (tmp_path / name).is_symlink() and (tmp_path / name).read_text() == "new"


def test_a_name_may_be_as_long_as_a_name_can_be(tmp_path: Path) -> None:
    atomic.write(tmp_path / ("x" * 255), "new")
    with pytest.raises(OSError, match="too long"):
        atomic.write(tmp_path / ("x" * 256), "new")
    assert len(list(tmp_path.iterdir())) == 1


def _write(job: tuple[str, str]) -> None:
    for _ in range(50):
        atomic.write(Path(job[0]), job[1] * 5000)
        assert len(set(Path(job[0]).read_text())) == 1, "two contents in one file"


def test_two_that_write_at_once(tmp_path: Path) -> None:
    with multiprocessing.get_context("fork").Pool(3) as pool:
        pool.map(_write, [(str(tmp_path / "a"), letter) for letter in "xyz"], chunksize=1)
    assert len((tmp_path / "a").read_text()) == 5000
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
