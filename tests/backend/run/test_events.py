"""The event log and the command inbox: appended lines, read as they come, damaged ones passed over."""

from __future__ import annotations

import json
import threading
from pathlib import Path

from backend.run.control import Inbox, send
from backend.run.events import EventLog, Tail


def test_what_is_written_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    log, tail = EventLog(path), Tail(path)
    log.write("step", step=1, loss=float("nan"))
    log.write("eval", loss=2.5)
    first = list(tail.events())
    assert [event["event"] for event in first] == ["step", "eval"]
    assert first[0]["loss"] is None  # JSON has no NaN
    assert first[0]["t"] > 1_700_000_000
    assert list(tail.events()) == []
    log.write("step", step=2)
    assert [event["step"] for event in tail.events()] == [2]


def test_a_half_written_last_line_waits_for_its_other_half(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"t":1,"event":"step","step":1}\n{"t":2,"ev')
    tail = Tail(path)
    assert [event["step"] for event in tail.events()] == [1]
    with path.open("ab") as file:
        file.write(b'ent":"step","step":2}\n')
    assert [event["step"] for event in tail.events()] == [2]


def test_damaged_lines_and_odd_values_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'\x00\xff broken\n[1,2]\n"text"\n{"event":5}\n\n{"event":"log","text":"fine"}\n')
    assert [event["text"] for event in Tail(path).events()] == ["fine"]


def test_no_file_yet_is_no_event(tmp_path: Path) -> None:
    assert list(Tail(tmp_path / "nothing").events()) == []


def test_lines_of_many_threads_are_never_mixed(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    log = EventLog(path)

    def write(worker: int) -> None:
        for number in range(200):
            log.write("log", worker=worker, number=number, text="x" * 500)

    threads = [threading.Thread(target=write, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(lines) == 800
    for worker in range(4):
        assert [line["number"] for line in lines if line["worker"] == worker] == list(range(200))


def test_commands_reach_the_trainer_in_order_and_old_ones_do_not(tmp_path: Path) -> None:
    path = tmp_path / "commands.jsonl"
    send(path, "stop")
    inbox = Inbox(path)
    assert inbox.poll() == []
    send(path, "checkpoint")
    send(path, "pause")
    with path.open("a") as file:
        file.write('{"event":"explode"}\n')
    assert inbox.poll() == ["checkpoint", "pause"]
    assert inbox.poll() == []


def test_the_log_is_for_the_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    EventLog(path).close()
    assert path.stat().st_mode & 0o777 == 0o600
