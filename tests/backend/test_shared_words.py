"""What commands and folders share: the nearest name, exit codes, a file replaced in one step."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from backend import atomic, suggest, units
from backend.errors import exit_code


def test_the_nearest_name_or_what_there_is() -> None:
    assert suggest.hint("rnak", ["alpha", "rank"]) == "did you mean 'rank'?"
    assert suggest.hint("zzz", ["alpha", "rank"]) == "there are alpha, rank"
    assert suggest.hint("zzz", ["alpha"], "see --help") == "see --help"
    assert suggest.hint("alp", ["alphabet"], alike=0.6) == "there are alphabet"


@pytest.mark.parametrize(("state", "code"), [("done", 0), ("stopped", 130), ("paused", 130), ("failed", 4), (None, 4)])
def test_a_run_s_state_is_its_command_s_exit_code(state: str | None, code: int) -> None:
    assert exit_code(state) == code


def test_a_file_is_replaced_and_no_draft_is_left(tmp_path: Path) -> None:
    path = tmp_path / "answers.toml"
    for content in ("ä = 1\n", b"{}"):
        atomic.write(path, content)
    assert path.read_bytes() == b"{}" and list(tmp_path.iterdir()) == [path]


def test_a_draft_that_can_t_be_written_leaves_the_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "answers.toml"
    path.write_text("old")
    (tmp_path / f"answers.toml.{os.getpid()}-1.new").mkdir()
    monkeypatch.setattr(threading, "get_native_id", lambda: 1)
    with pytest.raises(OSError):
        atomic.write(path, "new")
    assert path.read_text() == "old"


@pytest.mark.parametrize(
    "name", ["an MI300X", "an RTX 4090", "an L4", "an A100", "an H100", "a T4", "a B200", "a Radeon VII"]
)
def test_the_article_of_a_name_as_it_is_spoken(name: str) -> None:
    assert units.with_article(name.split(" ", 1)[1]) == name
