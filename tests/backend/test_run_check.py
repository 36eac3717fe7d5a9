"""`fttui doctor --run`: what is intact in a run folder, and what is damaged."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from pathlib import Path

import pytest

from backend import run_check
from backend.run.event_log import EventLog
from backend.run.events import RunStarted, StepDone
from backend.run.folder import RunFolder
from tests.faults.bad_bytes import NASTY
from tests.faults.own_files import JOB
from tui import cli


@pytest.fixture
def run() -> RunFolder:
    folder = RunFolder.create(JOB)
    log = EventLog(folder.events_file)
    log.write(RunStarted(versions={"torch": "1.0", "python": "3"}))
    log.write(StepDone(step=1, loss=2.0))
    log.close()
    for step in (10, 20):
        path = folder.checkpoints / f"step-{step:08d}"
        path.mkdir()
        hashes = {}
        for name in ("weights.safetensors", "state.pt"):
            (path / name).write_bytes(name.encode())
            hashes[name] = hashlib.sha256(name.encode()).hexdigest()
        (path / "manifest.json").write_text(json.dumps({"step": step, "sha256": hashes}))
    return folder


def states(folder: RunFolder) -> dict[str, str]:
    return {check.name: check.state for check in run_check.checks(folder)}


def test_a_whole_run(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    found = states(run)
    assert found == {
        "plan.toml": "ok",
        "events.jsonl": "ok",
        "torch": "warn",
        "step-00000010": "ok",
        "step-00000020": "ok",
    }
    assert cli.run(["doctor", "--run", run.name]) == 0
    assert "all hashes match" in capsys.readouterr().out


def test_damage_is_named(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    newest = run.checkpoints / "step-00000020"
    (newest / "state.pt").write_bytes(b"other")
    with run.events_file.open("ab") as file:
        file.write(b"\xff\n")
    (run.checkpoints / "mine").symlink_to("/nowhere")
    found = {check.name: check for check in run_check.checks(run)}
    assert found["step-00000020"].detail == "damaged: state.pt has changed since it was written"
    assert found["events.jsonl"].detail == "1 of 3 lines can't be read, and are passed over"
    assert found["checkpoints/mine"].state == "missing"
    assert "checkpoints" not in found
    (run.checkpoints / "step-00000010" / "weights.safetensors").unlink()
    assert states(run)["checkpoints"] == "missing"
    assert cli.run(["doctor", "--run", run.name]) == 4
    assert f"-> fttui resume {run.name} --from-start" in capsys.readouterr().out


def test_bad_bytes_everywhere(run: RunFolder) -> None:
    for content in NASTY.values():
        for file in (run.plan_file, run.events_file, run.checkpoints / "step-00000010" / "manifest.json"):
            file.write_bytes(content)
        assert states(run)["step-00000010"] == "warn"


def test_unreadable_events_are_not_called_missing(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(self: Path, *_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))

    with monkeypatch.context() as patched:  # root may read everything
        patched.setattr(Path, "open", closed)
        (found,) = [check for check in run_check.checks(run) if check.name == "events.jsonl"]
    assert (found.state, found.detail) == ("missing", "it can't be read: permission denied")
    run.events_file.unlink()
    assert states(run)["events.jsonl"] == "warn"
    run.events_file.mkdir()
    assert states(run)["events.jsonl"] == "missing"
