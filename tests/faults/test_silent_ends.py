"""No end is silent: if the disk takes no event, the terminal says why."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from backend import settings
from backend.errors import TRAINING_FAILED, UserError
from backend.launch import launch
from backend.launch.launch import Trainer
from backend.run.event_log import EventLog
from backend.run.events import RunFinished
from backend.run.folder import RunFolder, all_runs
from backend.run.json_lines import Appender
from backend.training.failure import sentence
from tests.faults.own_files import JOB
from tui import cli, headless, process

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Panic(BaseException):
    """As pyo3 raises it: no Exception."""


Panic.__name__ = "PanicException"


def full(*_: object, **__: object) -> None:
    raise FULL


@pytest.mark.torch
def test_a_disk_that_takes_no_event(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer(RunFolder.create(JOB))
    monkeypatch.setattr(Appender, "append", full)
    trainer.run()
    assert trainer.state == "failed"
    assert trainer.unsaid() == f"the disk is full; free some space, then `fttui resume {trainer.folder.name}`"
    assert process.outcome(trainer).endswith(trainer.unsaid())


@pytest.mark.torch
def test_a_panic_in_a_tokenizer_is_a_failure_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    from backend.training import train as module

    def panics(*_: object) -> str:
        raise Panic("index out of bounds")

    monkeypatch.setattr(module, "run", panics)
    said: list[str] = []
    folder = RunFolder.create(JOB)
    assert module.train(folder, tell=said.append) == "failed"
    assert said == [sentence(Panic("index out of bounds"), folder.name)]
    assert "the tokenizer's own code failed on a row (index out of bounds)" in said[0]


def test_without_a_screen_standard_error_says_it_and_the_code_is_4(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = RunFolder.create(JOB)
    before = [os.dup(1), os.dup(2)]
    monkeypatch.setattr(launch, "train", full)
    monkeypatch.setattr(headless, "_stop_on_signals", lambda stop: None)
    try:
        code = headless.run(folder)
    finally:
        for fd, kept in enumerate(before, 1):
            os.dup2(kept, fd)
    assert code == TRAINING_FAILED
    assert "fttui: the run's files can't be written: " in capfd.readouterr().err


@pytest.mark.parametrize("options", [[], ["--detach"], ["--json"]])
def test_settings_that_can_not_be_read_are_said_on_the_terminal(
    options: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(headless, "_fork_into_background", lambda: pytest.fail("nobody would hear of it there"))
    folder = RunFolder.create(JOB)
    settings.path().write_text("on_finish = 3\n")
    assert cli.run(["resume", folder.name, *options]) == UserError.exit_code
    said = capfd.readouterr()
    assert "on_finish: 3 won't do; it takes text" in said.err and not said.out


def test_no_run_is_made_with_settings_that_can_not_be_read(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(headless, "run", lambda *_, **__: 0)
    settings.path().write_text("on_finish = 3\n")
    assert cli.run(["train", "demo"]) == UserError.exit_code
    assert "on_finish: 3 won't do" in capfd.readouterr().err and not all_runs()


def test_what_ends_a_start_is_said_on_the_terminal_and_not_in_the_log(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = RunFolder.create(JOB)

    def start(_: RunFolder) -> Trainer:
        os.write(1, b"a library\n")
        raise UserError("no")

    monkeypatch.setattr(launch, "start", start)
    assert cli.run(["resume", folder.name]) == UserError.exit_code
    assert capfd.readouterr() == ("", "fttui: no\n") and folder.log_file.read_text() == "a library\n"


def test_what_the_events_say_is_not_said_twice() -> None:
    folder = RunFolder.create(JOB)
    trainer = Trainer(folder)
    trainer.state, trainer.trouble = "failed", "no rows"
    assert trainer.unsaid() == "no rows"
    log = EventLog(folder.events_file)
    log.write(RunFinished(state="failed", error="no rows"))
    log.close()
    assert trainer.unsaid() == ""


@pytest.mark.torch
def test_all_checkpoints_damaged_is_no_silent_start_from_0(tmp_path: Path) -> None:
    from backend.training.saving import checkpoint
    from backend.training.setup import _all_damaged

    folder = RunFolder.create(JOB)
    (folder.checkpoints / "step-00000010").mkdir()
    (folder.checkpoints / "step-by-step").mkdir()
    found, skipped = checkpoint.newest(folder.checkpoints)
    assert found is None
    assert len(skipped) == 1
    refused = _all_damaged(folder, skipped)
    assert isinstance(refused, UserError)
    assert f"`fttui resume {folder.name} --from-start` trains it again from step 0" in str(refused)
    aside = folder.start_again()
    assert aside is not None
    assert (aside / "step-00000010").is_dir()
    assert checkpoint.newest(folder.checkpoints) == (None, [])
    assert folder.start_again() is None


@pytest.mark.torch
@pytest.mark.parametrize(
    ("make", "why"), [(os.mkfifo, "no such device or address"), (os.mkdir, "is a directory")], ids=["pipe", "folder"]
)
def test_a_pipe_or_a_folder_in_place_of_the_events(make: Callable[[Path], None], why: str) -> None:
    """Opening a pipe would wait for ever."""
    from backend.training import train as module

    folder, said = RunFolder.create(JOB), list[str]()
    make(folder.events_file)
    assert module.train(folder, tell=said.append) == "failed"
    assert said == [f"{folder.events_file} can't be used: {why}; check its path and its permissions"]


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["pipe", "folder"])
def test_a_pipe_or_a_folder_in_place_of_the_log(make: Callable[[Path], None]) -> None:
    folder = RunFolder.create(JOB)
    make(folder.log_file)
    with pytest.raises(OSError, match=str(folder.log_file)):
        headless._keep_streams(folder)
