"""One box of several: what it starts, and what it does when its ranks have ended, without torch."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backend.errors import UserError
from backend.launch import node
from backend.run.folder import RunFolder
from tests import events_on_disk
from tests.backend.run.test_folder import JOB

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def folder(fttui_home: Path) -> RunFolder:
    return RunFolder.create(replace(JOB, plan=replace(JOB.plan, processes=4)))


def options(folder: RunFolder, **changes: Any) -> Namespace:
    return Namespace(**{"folder": folder.path, "nodes": 2, "per_node": 2, "endpoint": "127.0.0.1:29400", **changes})


def test_what_elastic_is_told(folder: RunFolder) -> None:
    words = node.command(options(folder), "127.0.0.1")
    assert words[1:3] == ["-m", "torch.distributed.run"] and words[-3:] == [
        "-m",
        "backend.launch.elastic",
        str(folder.path),
    ]
    for word in ("--nnodes=2", "--nproc-per-node=2", "--rdzv-endpoint=127.0.0.1:29400", "--max-restarts=0"):
        assert word in words
    assert "--rdzv-conf=is_host=1,join_timeout=120,read_timeout=120" in words
    assert "--local-addr=127.0.0.1" in words
    assert "is_host=0" in " ".join(node.command(options(folder, endpoint="10.9.9.9:1"), "127.0.0.1"))


def test_the_ranks_talk_over_the_interface_towards_the_others() -> None:
    here = node.address_towards("127.0.0.1", 29400)
    assert here == "127.0.0.1" and node.interface(here) == "lo" and node.interface("203.0.113.7") is None
    found = node.environment(here, {"NCCL_SOCKET_IFNAME": "ib0"})
    assert (found["GLOO_SOCKET_IFNAME"], found["NCCL_SOCKET_IFNAME"]) == ("lo", "ib0")


@pytest.mark.parametrize("said", ["", "host", ":29400", "host:", "host:x", "host:0", "host:70000", "host:-1"])
def test_what_is_no_endpoint(said: str) -> None:
    with pytest.raises(UserError, match="HOST:PORT of one of the boxes"):
        node.endpoint(said)


def test_a_host_that_is_not_there() -> None:
    with pytest.raises(UserError, match=r"no-such-host\.invalid can't be reached"):
        node.address_towards("no-such-host.invalid", 29400)


def test_another_number_of_processes_is_refused(folder: RunFolder) -> None:
    with pytest.raises(UserError, match="the plan is for 4 processes, and 3 x 2 are started"):
        node._run(options(folder, nodes=3))


def test_a_port_that_is_taken_is_refused(folder: RunFolder) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(UserError, match=rf"port {port} of this box can't be had \(Address already in use\); take"):
            node._run(options(folder, endpoint=f"127.0.0.1:{port}"))


RANKS = """
import sys, time
from pathlib import Path
from backend.run.event_log import EventLog
from backend.run.events import RunFinished, RunStarted
from backend.run.folder import RunFolder
folder = RunFolder(Path(sys.argv[1]))
tries = folder.path / "tries"
tries.write_text(tries.read_text() + "x" if tries.exists() else "x")
if sys.argv[2] == "wait":
    from backend.run.control import Inbox
    import os
    inbox = Inbox(folder.commands_file, int(os.environ["FTTUI_COMMANDS_SINCE"]))
    with folder.hold():
        while not inbox.has_end():
            time.sleep(0.05)
if sys.argv[2] == "die" or len(tries.read_text()) >= 3 or sys.argv[2] == "wait":
    if sys.argv[2] != "die":
        log = EventLog(folder.events_file)
        log.write(RunFinished(state="stopped" if sys.argv[2] == "wait" else "done", step=4))
        log.close()
sys.exit(1)
"""


def ranks(monkeypatch: pytest.MonkeyPatch, folder: RunFolder, how: str) -> None:
    monkeypatch.setattr(node, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(node, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(node, "command", lambda *_: [sys.executable, "-c", RANKS, str(folder.path), how])


def test_boxes_meet_again_until_the_run_has_ended(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    ranks(monkeypatch, folder, "die twice")
    assert node._run(options(folder)) == 0
    assert (folder.path / "tries").read_text() == "xxx"


def test_elastic_that_stays_when_its_ranks_are_gone_is_ended(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is trying to notify a box that can't be reached."""
    rank = "subprocess.run([sys.executable, '-c', 'import time; time.sleep(0.3)'])"
    code = f"import subprocess, sys, time; {rank}; time.sleep(60)"
    monkeypatch.setattr(node, "FAREWELL_SECONDS", 0.5)
    monkeypatch.setattr(node, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(node, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(node, "command", lambda *_: [sys.executable, "-c", code])
    monkeypatch.setattr(node, "PATIENCE_SECONDS", 0.1)
    began = time.monotonic()
    assert node._run(options(folder)) == 4
    assert time.monotonic() - began < 15


def test_ranks_that_die_without_a_step_end_the_run(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    ranks(monkeypatch, folder, "die")
    monkeypatch.setattr(node, "PATIENCE_SECONDS", 0.5)
    assert node._run(options(folder)) == 4
    (end,) = events_on_disk.read(folder.events_file, "run_finished")
    assert end["state"] == "failed" and end["error"].startswith("no step was made for")


@pytest.mark.parametrize("how", ["wait", "never"])
def test_a_signal_to_all_stops_the_run(folder: RunFolder, how: str) -> None:
    """The ranks obey the command; if the boxes have not met yet, there are no ranks, and elastic is ended."""
    waits = f"[{sys.executable!r}, '-c', {RANKS!r}, {str(folder.path)!r}, 'wait']"
    never = f"[{sys.executable!r}, '-c', 'import time; time.sleep(60)']"
    code = f"""
import sys
from backend.launch import node
node.command = lambda *_: {waits if how == "wait" else never}
sys.argv = ["node", {str(folder.path)!r}, "--nodes", "2", "--per-node", "2", "--endpoint", "127.0.0.1:29400"]
node.main()
"""
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, start_new_session=True)
    until = time.monotonic() + 20
    while not (folder.is_alive() if how == "wait" else _children(process.pid)):
        assert time.monotonic() < until
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(20) == 75


def _children(pid: int) -> bool:
    return bool(Path(f"/proc/{pid}/task/{pid}/children").read_text().strip())
