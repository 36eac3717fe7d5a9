from __future__ import annotations

from pathlib import Path

from backend.data.inspect import candidates
from tests.backend.data.rows import jsonl, pairs


def test_data_is_found_and_nothing_else(tmp_path: Path) -> None:
    jsonl(tmp_path / "b.jsonl", pairs(1))
    jsonl(tmp_path / "deep" / "a.jsonl", pairs(1))
    (tmp_path / "rows.json").write_text("[{}]")
    (tmp_path / "notes.txt").write_text("A story.")
    for name in ("package.json", "requirements.txt", "README.md", "settings.json", "empty.csv", ".hidden.csv"):
        (tmp_path / name).write_text("" if name == "empty.csv" else '{"a": 1}')
    for folder in (".git", "node_modules", "model"):
        jsonl(tmp_path / folder / "x.jsonl", pairs(1))
    (tmp_path / "model" / "config.json").write_text("{}")
    names = [str(path.relative_to(tmp_path)) for path in candidates(tmp_path)]
    assert names == ["b.jsonl", "rows.json", "deep/a.jsonl", "notes.txt"]


def test_at_most_twenty(tmp_path: Path) -> None:
    for n in range(30):
        jsonl(tmp_path / f"{n}.jsonl", pairs(1))
    assert len(candidates(tmp_path)) == 20


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert candidates(tmp_path / "none") == []
