"""A rank that stalls is named within seconds, and only once; that it continues is reported too."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from backend.launch import stalled
from backend.launch.stalled import Stalled
from backend.run.folder import RunFolder
from tests import events_on_disk
from tests.backend.run.test_folder import JOB


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


def looked(watch: Stalled, pids: list[int], seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        watch.look(pids)
        time.sleep(0.02)


def test_a_stopped_rank_is_named_once(
    fttui_home: Path, sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stalled, "LOOK_SECONDS", 0.02)
    monkeypatch.setitem(stalled.PATIENCE, psutil.STATUS_STOPPED, 0.2)
    folder = RunFolder.create(JOB)
    watch, pids = Stalled(folder), [os.getpid(), sleeper.pid]
    looked(watch, pids, 0.3)
    assert not folder.events_file.exists()
    sleeper.send_signal(signal.SIGSTOP)
    looked(watch, pids, 0.6)
    (said,) = events_on_disk.read(folder.events_file, "log")
    assert said["level"] == "warning"
    assert said["text"].startswith("the process of device 2 of 2 is stopped (SIGSTOP); `kill -CONT")
    sleeper.send_signal(signal.SIGCONT)
    looked(watch, pids, 0.3)
    assert events_on_disk.read(folder.events_file, "log")[-1]["text"] == "the process of device 2 of 2 goes on"


def test_a_rank_that_has_ended_is_not_stalled(fttui_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stalled, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(stalled, "PATIENCE", {"gone": 60.0})
    folder = RunFolder.create(JOB)
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    looked(Stalled(folder), [done.pid], 0.1)
    assert not folder.events_file.exists()
