"""The user's command at the end of a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from backend import settings
from backend.errors import UserError
from backend.launch import on_finish
from backend.launch.launch import Trainer
from backend.run.event_log import EventLog
from backend.run.events import Evaluated, RunFinished
from backend.run.folder import RunFolder
from backend.run.history import read
from tests.backend.run.test_folder import JOB


class Short(Trainer):
    """Trains nothing, and says that it is done."""

    def train(self) -> str:
        log = EventLog(self.folder.events_file)
        log.write(Evaluated(step=0, loss=2.0))
        log.write(Evaluated(step=9, loss=1.5))
        log.write(RunFinished(state="done"))
        return "done"


def finished() -> RunFolder:
    folder = RunFolder.create(JOB)
    trainer = Short(folder)
    trainer.run()
    assert trainer.state == "done"
    return folder


def test_it_gets_the_result_as_json(tmp_path: Path) -> None:
    settings.path().write_text(f"on_finish = 'cat > {tmp_path}/got.json; echo said; echo $FTTUI_RUN'\n")
    folder = finished()
    got = json.loads((tmp_path / "got.json").read_text())
    assert (got["name"], got["state"], got["loss_before"], got["loss"]) == (folder.name, "done", 2.0, 1.5)
    assert got["path"] == str(folder.path)
    assert folder.log_file.read_text() == f"said\n{folder.name}\n"


@pytest.mark.parametrize(("command", "told"), [("exit 3", "ended with code 3"), ("no-such-command-x", "code 127")])
def test_that_it_fails_is_told_in_the_log_and_harms_nothing(command: str, told: str) -> None:
    settings.path().write_text(f'on_finish = "{command}"\n')
    history = read(finished().events_file)
    assert history.state == "done"
    assert told in history.log[-1].text


def test_one_that_hangs_is_ended() -> None:
    folder = RunFolder.create(JOB)
    on_finish.call("sleep 30; echo never", folder, seconds=0.05)
    assert folder.log_file.read_text() == ""
    assert "was ended after 0.05 s" in read(folder.events_file).log[-1].text


def test_settings_that_can_not_be_read_are_refused_before_the_start() -> None:
    settings.path().write_text("on_finish = 3\n")
    with pytest.raises(UserError, match="on_finish"):
        Short(RunFolder.create(JOB))
