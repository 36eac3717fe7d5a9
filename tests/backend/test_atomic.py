"""A small file is replaced in one step, even by two writers at once, and a link stays a link."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend import atomic, paths, presets
from tests import at_once


def test_a_preset_that_is_kept_elsewhere_stays_there(tmp_path: Path) -> None:
    """As for a user whose own files are links into a repository."""
    presets.copy("demo", "mine")
    link = paths.own_presets() / "mine.toml"
    kept = link.rename(tmp_path / "mine.toml")
    link.symlink_to(kept)
    presets.write("mine", "rank = 8\n")
    assert link.is_symlink() and kept.read_text() == "rank = 8\n"
    assert [path.name for path in link.parent.iterdir()] == ["mine.toml"]


def test_where_a_link_among_the_files_of_a_run_leads_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "somebody-elses").write_text("old")
    (tmp_path / "adjusted.json").symlink_to("somebody-elses")
    atomic.write(tmp_path / "adjusted.json", "new")
    assert (tmp_path / "somebody-elses").read_text() == "old"
    assert (tmp_path / "adjusted.json").read_text() == "new"


def test_a_link_that_leads_nowhere_or_in_a_circle_is_replaced(tmp_path: Path) -> None:
    for name, target in (("nowhere", "not-there"), ("circle", "circle")):
        (tmp_path / name).symlink_to(target)
        atomic.write(tmp_path / name, "new", through_link=True)
        assert not (tmp_path / name).is_symlink() and (tmp_path / name).read_text() == "new"


def test_a_name_may_be_as_long_as_a_name_can_be(tmp_path: Path) -> None:
    atomic.write(tmp_path / ("x" * 255), "new")
    with pytest.raises(OSError, match="too long"):
        atomic.write(tmp_path / ("x" * 256), "new")
    assert len(list(tmp_path.iterdir())) == 1


WRITER_IMPORTS = "from pathlib import Path; from backend import atomic"
WRITER = """
path, letter = Path(sys.argv[1]), sys.argv[2]
for _ in range(200):
    atomic.write(path, letter * 5000)
    assert len(set(path.read_text())) == 1, "two contents in one file"
"""


def test_several_that_write_at_once(tmp_path: Path) -> None:
    at_once.run(WRITER_IMPORTS, WRITER, [(str(tmp_path / "a"), letter) for letter in "xyz"])
    assert len((tmp_path / "a").read_text()) == 5000
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
