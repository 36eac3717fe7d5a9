"""Notes, renaming and deletion of runs that are not training."""

from __future__ import annotations

import pytest

from backend.errors import UserError
from backend.run import keeping
from backend.run.folder import RunFolder, all_runs
from tests.backend.run.test_folder import JOB


def test_a_note_is_one_line_and_an_empty_one_takes_it_away() -> None:
    folder = RunFolder.create(JOB)
    assert keeping.note(folder) == ""
    keeping.write_note(folder, "  the one\nwith rank 64 ")
    assert keeping.note(folder) == "the one with rank 64"
    keeping.write_note(folder, " ")
    assert keeping.note(folder) == "" and not (folder.path / "note.txt").exists()
    (folder.path / "note.txt").write_bytes(b"\xff\xfe")
    assert keeping.note(folder) == ""


def test_a_name_keeps_its_time_in_front() -> None:
    folder = RunFolder.create(JOB)
    stamp = folder.name[:16]
    renamed = keeping.rename(folder, "support-bot")
    assert renamed.name == f"{stamp}support-bot" and renamed.plan_file.is_file() and not folder.path.exists()
    assert [run.name for run in all_runs()] == [renamed.name]
    assert keeping.rename(renamed, f"{stamp}support-bot").name == renamed.name
    other = RunFolder.create(JOB)
    same = keeping.rename(other, "x")
    for name in ("", "../x", "a/b", "a b", "-x"):
        with pytest.raises(UserError, match="won't do"):
            keeping.rename(same, name)


def test_a_run_that_trains_is_neither_renamed_nor_deleted() -> None:
    folder = RunFolder.create(JOB)
    with folder.hold():
        for act in (lambda: keeping.delete(folder), lambda: keeping.rename(folder, "other")):
            with pytest.raises(UserError, match="trained by another process"):
                act()
    assert folder.plan_file.is_file()
    assert keeping.disk_bytes(folder) > 100
    keeping.delete(folder)
    assert all_runs() == [] and not folder.path.exists()
