"""Ends without an event are shown in the list of runs, and files that are not fttui's are never deleted."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from backend.data.inspect import inspect
from backend.errors import UserError
from backend.export import place
from backend.launch.launch import Trainer
from backend.run.event_log import EventLog
from backend.run.events import Evaluated, RunStarted, Sampled
from backend.run.folder import RunFolder
from backend.run.history import read
from backend.run.json_lines import Appender
from backend.run.summary import summarise
from backend.trial import trial
from tests.backend.data.rows import jsonl
from tests.faults.own_files import JOB
from tui import cli, front, terminal


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.torch
def test_the_list_of_runs_knows_a_failure_that_no_event_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = RunFolder.create(JOB)
    with monkeypatch.context() as patched:
        patched.setattr(Appender, "append", full)
        trainer = Trainer(folder)
        trainer.run()
    assert summarise(folder).state == "failed"
    assert folder.failure().startswith("the disk is full; free some space")
    with folder.hold():  # the next attempt
        assert folder.failure() == ""
    assert summarise(folder).state == "interrupted"


@pytest.mark.torch
def test_a_second_resume_notes_no_failure_of_the_first() -> None:
    """Two `fttui resume` at once: the run that the first trains has not failed."""
    folder = RunFolder.create(JOB)
    with folder.hold():
        trainer = Trainer(folder)
        trainer.run()
        assert trainer.state == "failed" and "is being trained by another process" in trainer.trouble
    assert folder.failure() == ""


def test_a_failure_is_noted_in_room_reserved_for_it() -> None:
    """A file size limit of 0 further bytes acts as a full disk even for root."""
    folder = RunFolder.create(JOB)
    with folder.hold():
        code = (
            "import resource, sys; from pathlib import Path; from backend.run.folder import RunFolder; "
            "resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024)); folder = RunFolder(Path(sys.argv[1])); "
            "folder.note_failure('no room ' * 500)"
        )
        subprocess.run([sys.executable, "-c", code, str(folder.path)], check=True, env=dict(os.environ))
    assert folder.failure().startswith("no room no room")
    assert len(folder.failure()) < 1024
    assert signal.getsignal(signal.SIGXFSZ) is not None


@pytest.mark.parametrize("content", [b"", b"\xff" * 2000, bytes(1024), b"x" * 5000])
def test_a_damaged_lock_file_is_no_harm(content: bytes) -> None:
    folder = RunFolder.create(JOB)
    folder._lock_file.write_bytes(content)
    assert summarise(folder).state in ("failed", "interrupted")


def test_what_is_made_again_without_a_checkpoint_counts_once() -> None:
    folder = RunFolder.create(JOB)
    log = EventLog(folder.events_file)
    for loss in (2.0, 2.5):
        log.write(RunStarted(step=0))
        log.write(RunStarted(step=0, total_steps=4, train_rows=9))
        log.write(Evaluated(step=0, loss=loss))
        log.write(Sampled(step=0, prompt="q", text="a"))
    log.close()
    history = read(folder.events_file)
    assert [each.loss for each in history.evaluations] == [2.5]
    assert len(history.samples) == 1
    assert (summarise(folder).loss_before, summarise(folder).loss) == (2.5, None)


def test_a_run_whose_plan_is_damaged_may_be_on_any_device() -> None:
    folder = RunFolder.create(JOB)
    folder.plan_file.write_bytes(b"\xff")
    with folder.hold(), pytest.raises(UserError, match="is training on this device"):
        trial.refuse_beside_a_run(JOB)


@pytest.mark.parametrize("home", ["a file", "closed"])
def test_the_wizard_with_an_unusable_home(
    home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "unusable"
    path.write_text("")
    monkeypatch.setenv("FTTUI_HOME", str(path if home == "a file" else path / "below"))
    monkeypatch.setattr(terminal, "why_unusable", lambda: "")
    monkeypatch.setattr(front, "fork", lambda: pytest.fail("the screen was started"))
    assert cli.run([]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "set FTTUI_HOME to a folder that can be written to" in said


def test_two_exports_to_one_place(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(UserError, match="can't be written"), place.whole(out) as late:
        (late / "late").write_text("")
        with place.whole(out) as early:
            (early / "early").write_text("")
    assert [path.name for path in out.iterdir()] == ["early"]
    assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == ["out"]


@pytest.mark.torch
def test_where_a_link_leads_nothing_is_deleted(tmp_path: Path) -> None:
    from backend.training.saving import best, checkpoint

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for step in (1, 2, 3):
        checkpoint.write(elsewhere, step, {}, {}, None)
    (elsewhere / ".writing-00000009").mkdir()
    folder = tmp_path / "checkpoints"
    folder.symlink_to(elsewhere)
    before = sorted(elsewhere.iterdir())
    checkpoint.prune(folder, keep=1)
    best.prune(folder, 3)
    checkpoint.write(folder, 2, {}, {}, None)
    assert sorted(elsewhere.iterdir()) == before
    checkpoint.prune(elsewhere, keep=1)
    assert [path.name for path in elsewhere.iterdir()] == ["step-00000003"]


def test_a_key_that_stands_twice_in_a_row_is_said(tmp_path: Path) -> None:
    rows = [{"prompt": f"q {n}", "completion": "a"} for n in range(60)]
    path = Path(jsonl(tmp_path / "rows.jsonl", rows))
    with path.open("a") as file:
        file.write('{"prompt": "q", "completion": "lost", "completion": "kept"}\n')
    said = [found.text for found in inspect(str(path)).findings]
    assert "Line 61 of rows.jsonl has the key 'completion' twice: the last value counts, others are lost." in said
    turns = '{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a", "content": "b"}]}\n'
    (tmp_path / "turns.jsonl").write_text(turns * 3)
    assert any("has the key 'content' twice" in x.text for x in inspect(str(tmp_path / "turns.jsonl")).findings)
