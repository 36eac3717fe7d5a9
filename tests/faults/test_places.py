"""Unusable homes, a current folder that is gone, circular links: one sentence, and everything else still works."""

from __future__ import annotations

import errno
import fcntl
import os
import pwd
from pathlib import Path

import pytest

from backend import paths
from backend.answers import Answers
from backend.data.reading.candidates import candidates
from backend.data.reading.load import load
from backend.errors import UserError
from backend.export import place
from backend.planner import jobs
from backend.planner.compare import compare
from backend.run import plan_file
from backend.run.folder import RunFolder, all_runs
from tests.faults.own_files import JOB
from tests.shapes import CPU, LLAMA_1B, model, rows
from tui import cli

PLAN = ["plan", "--model", "8b", "--gpu", "4090", "--rows", "500", "--row-tokens", "400"]
ROW = '{"question": "a", "answer": "b"}\n'


@pytest.fixture
def file_as_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "a-file"
    path.write_text("")
    monkeypatch.setenv("FTTUI_HOME", str(path))
    return path


@pytest.mark.parametrize("command", [["runs"], ["resume"], ["stop", "x"], ["presets", "copy", "demo", "mine"]])
def test_a_command_that_needs_a_home_says_so(
    file_as_home: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    assert cli.run(command) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert str(file_as_home) in said
    assert "set FTTUI_HOME" in said


@pytest.mark.parametrize("command", [PLAN, ["presets"]])
def test_what_needs_no_home_is_done(file_as_home: Path, capsys: pytest.CaptureFixture[str], command: list[str]) -> None:
    assert cli.run(command) == 0


def test_a_home_that_no_plan_can_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FTTUI_HOME", os.fsdecode(os.fsencode(tmp_path) + b"/h\xff"))
    assert cli.run(["runs"]) == 2
    assert "is not UTF-8" in capsys.readouterr().err
    assert cli.run(PLAN) == 0


def test_a_relative_home_is_the_same_from_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FTTUI_HOME", "mine")
    assert RunFolder.create(JOB).path.parent == tmp_path / "mine" / "runs"


def test_a_home_of_nobody_makes_no_folder_in_the_current_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FTTUI_HOME", "~nobody-is-called-so/x")
    with pytest.raises(paths.HomeUnusable, match="set FTTUI_HOME"):
        all_runs()
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_while_the_plan_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, job: object) -> None:
        path.write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(plan_file, "write", full)
    with pytest.raises(paths.HomeUnusable, match=r"no space left on device\); free some space") as raised:
        RunFolder.create(JOB)
    assert raised.value.exit_code == 4
    assert all_runs() == []
    assert list(paths.runs().iterdir()) == []


def test_a_current_folder_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert cli.run([*PLAN[:5], "--data", "rows.jsonl"]) == 2
    assert capsys.readouterr().err == "fttui: the current folder is gone; change to one that exists\n"


def test_links_in_the_current_folder(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(ROW)
    (tmp_path / "itself.jsonl").symlink_to("itself.jsonl")
    (tmp_path / "nothing.jsonl").symlink_to("not-there.jsonl")
    assert candidates(tmp_path) == [tmp_path / "rows.jsonl"]


def test_rows_count_once_however_many_links_lead_to_them(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text(ROW)
    (tmp_path / "validation.jsonl").write_text(ROW.replace("a", "c") * 3)
    (tmp_path / "around").symlink_to(".")
    (tmp_path / "itself.jsonl").symlink_to("itself.jsonl")
    (tmp_path / "again.jsonl").symlink_to("train.jsonl")
    found = load(str(tmp_path))
    assert len(found.rows) == 1
    assert found.held_out is not None
    assert len(found.held_out.rows) == 3


def test_relative_paths_are_kept_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rows.jsonl").write_text(ROW)
    monkeypatch.chdir(tmp_path)
    assert jobs.absolute("rows.jsonl") == str(tmp_path / "rows.jsonl")
    assert jobs.absolute("owner/name") == "owner/name"


def test_an_export_leaves_somebody_elses_draft_alone(tmp_path: Path) -> None:
    (tmp_path / ".writing-foo").mkdir()
    (tmp_path / ".writing-foo" / "mine").write_text("")
    with place.whole(tmp_path / "foo") as draft:
        (draft / "model").write_text("")
    assert (tmp_path / ".writing-foo" / "mine").is_file()
    assert sorted(path.name for path in tmp_path.iterdir() if "foo" in path.name) == [".writing-foo", "foo"]


def test_a_job_names_its_data_so_that_it_is_found_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rows.jsonl").write_text(ROW)
    monkeypatch.chdir(tmp_path)
    answers = Answers(model="1b", data="rows.jsonl", output="out")
    job = jobs.job(compare(answers, CPU, model(LLAMA_1B), rows(300)), "lora")
    assert (job.data, job.output) == (str(tmp_path / "rows.jsonl"), str(tmp_path / "out"))
    assert job.model == "1b"


def test_a_file_system_without_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    folder = RunFolder.create(JOB)
    monkeypatch.setattr(fcntl, "flock", none)
    assert not folder.is_alive()
    with (
        pytest.raises(UserError, match=r"locks no files \(no locks available\), .* another file system"),
        folder.hold(),
    ):
        pass


@pytest.mark.parametrize(
    ("command", "codes"),
    [(["runs"], {2}), (["presets", "copy", "demo", "mine"], {2}), (PLAN, {0}), ([*PLAN[:3], *PLAN[5:]], {0, 3})],
    ids=["runs", "presets copy", "plan", "plan for this box"],
)
def test_a_user_without_a_home_and_without_an_entry_in_passwd(
    command: list[str], codes: set[int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in a container that runs under an arbitrary user id: `docker run --user 12345`."""

    def nobody(*_: object) -> None:
        raise KeyError("uid not found")

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    for name in ("HOME", "FTTUI_HOME", "XDG_DATA_HOME", "HF_HOME", "HF_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    assert cli.run(command) in codes
    said = capsys.readouterr().err
    assert 2 not in codes or said.endswith("set FTTUI_HOME to a folder that can be written to\n")
