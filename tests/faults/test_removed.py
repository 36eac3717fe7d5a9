"""A run's folder that is deleted or moved while it trains: the run ends at its next event, with a sentence."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from backend.errors import TRAINING_FAILED
from backend.launch import launch, several
from backend.launch.launch import Trainer
from backend.launch.several import RankOutcome
from backend.run.control import Inbox
from backend.run.event_log import EventLog, EventTail
from backend.run.events import Logged, StepDone
from backend.run.folder import RunFolder
from backend.run.history import read
from backend.run.json_lines import Appender, Removed
from backend.training.report import Report
from tests.faults.own_files import JOB
from tui import cli, headless, process
from tui.commands import watch
from tui.screens import result


def started(trainer: Trainer) -> Trainer:
    trainer.start()
    return trainer


def delete(folder: RunFolder) -> None:
    shutil.rmtree(folder.path)


def move(folder: RunFolder) -> None:
    folder.path.rename(folder.path.with_name("elsewhere"))


@pytest.mark.torch
@pytest.mark.parametrize("remove", [delete, move])
def test_a_run_whose_folder_is_removed_ends_with_a_sentence(
    remove: Callable[[RunFolder], None], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from backend.training import train as module

    def trains(folder: RunFolder, inbox: Inbox, report: Report) -> str:
        report.event(StepDone(step=1, total_steps=2))
        remove(folder)
        report.event(StepDone(step=2, total_steps=2))
        return "done"

    folder = RunFolder.create(JOB)
    trainer = Trainer(folder)
    before = [os.dup(1), os.dup(2)]
    monkeypatch.setattr(module, "run", trains)
    monkeypatch.setattr(launch, "start", lambda folder: started(trainer))
    monkeypatch.setattr(headless, "_stop_on_signals", lambda stop: None)
    try:
        code = headless.run(folder)
    finally:
        for fd, kept in enumerate(before, 1):
            os.dup2(kept, fd)
    said = f"the run's folder {folder.path} was removed or moved while it trained, so that nothing can be kept: "
    assert code == TRAINING_FAILED
    assert capfd.readouterr().err == f"fttui: {said}training was ended; start the run again\n"
    assert process.outcome(trainer).endswith(f"{said}training was ended; start the run again")
    assert not folder.path.exists()  # nothing has recreated it


def test_over_several_devices_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def ends(folder: RunFolder, *_: object) -> RankOutcome:
        shutil.rmtree(folder.path)
        return RankOutcome("its folder was removed")

    folder, said = RunFolder.create(JOB), list[str]()
    monkeypatch.setattr(several, "_attempt", ends)
    assert several.train(folder, Inbox(folder.commands_file), said.append) == "failed"
    assert said == ["its folder was removed"]


def test_events_that_are_removed_alone(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    log.write(Logged(text="one"))
    (tmp_path / "events.jsonl").unlink()
    with pytest.raises(Removed):
        log.write(Logged(text="two"))
    (tmp_path / "events.jsonl").write_text("another's")
    with pytest.raises(Removed):
        log.write(Logged(text="three"))
    assert (tmp_path / "events.jsonl").read_text() == "another's"


def test_a_stop_that_no_file_takes_is_obeyed() -> None:
    trainer = Trainer(RunFolder.create(JOB))
    delete(trainer.folder)
    trainer.stop()
    assert trainer._inbox.has_end()
    assert trainer._inbox.poll() == ["stop"]


def test_watchers_see_that_it_is_gone(capsys: pytest.CaptureFixture[str]) -> None:
    folder = RunFolder.create(JOB)
    past = read(folder.events_file)
    assert cli.run(["watch", folder.name, "--plain"]) == 0
    assert capsys.readouterr().out == f"{folder.name}  interrupted  step 0/0\n"
    delete(folder)
    assert watch.status(folder, past) == f"{folder.name}  removed  step 0/0"
    assert result.trouble(folder, past) == "Its folder was removed or moved: what is shown here was read before."
    assert result.next_step(folder, past).lines == ("fttui",)


def test_events_that_link_to_a_device(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").symlink_to(os.devnull)
    with pytest.raises(OSError, match="not a regular file"):
        EventLog(tmp_path / "events.jsonl")


def test_half_a_line_costs_no_other(tmp_path: Path) -> None:
    """A disk that became full leaves half a line."""
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"t":1,"event":"log","text":"one"}\n{"t":2,"event":"lo')
    log = EventLog(path)
    log.write(Logged(text="three"))
    log.close()
    assert [event.text for event in EventTail(path).events() if isinstance(event, Logged)] == ["one", "three"]


def test_a_line_of_which_the_disk_takes_a_part_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writes = os.write
    file = Appender(tmp_path / "a.jsonl")
    monkeypatch.setattr(os, "write", lambda fd, data: writes(fd, data[:5]))
    file.append({"a": "something long"})
    assert (tmp_path / "a.jsonl").read_bytes() == b'{"a":"something long"}\n'
