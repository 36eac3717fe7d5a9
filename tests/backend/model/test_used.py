from __future__ import annotations

from pathlib import Path

from backend.model import used


def test_the_newest_comes_first_and_once(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    for name in ("a", "b", "a"):
        used.remember(str(tmp_path / name))

    assert used.folders() == [str(tmp_path / "a"), str(tmp_path / "b")]


def test_what_is_no_folder_needs_no_note() -> None:
    used.remember("org/model")
    used.remember("demo")

    assert used.folders() == []


def test_a_damaged_note_is_as_good_as_none(tmp_path: Path, fttui_home: Path) -> None:
    used.remember(str(tmp_path))
    (fttui_home / "models_used.json").write_text('{"not": "a list"')

    assert used.folders() == []


def test_only_so_many_are_kept(tmp_path: Path) -> None:
    for number in range(25):
        (tmp_path / f"{number}").mkdir()
        used.remember(str(tmp_path / f"{number}"))

    assert len(used.folders()) == 20
    assert used.folders()[0].endswith("24")
