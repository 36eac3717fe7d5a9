"""Event types, the event log and the command inbox: what is written is read back, and damaged lines are skipped."""

from __future__ import annotations

import dataclasses
import json
import threading
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from backend.plan.job import Prediction
from backend.run import events
from backend.run.control import Inbox, send
from backend.run.event_log import EventLog, EventTail
from backend.run.events import (
    AnyEvent,
    Evaluated,
    Event,
    GpuReading,
    Logged,
    MemoryReading,
    PhasesMeasured,
    PredictedFigures,
    RunFinished,
    RunStarted,
    StepDone,
)
from tests import events_on_disk

FINE = b'{"t":1.0,"event":"log","text":"fine"}'
DAMAGED = {
    "no JSON": b"\x00\xff broken",
    "an array": b"[1,2]",
    "a string": b'"text"',
    "no name": b'{"t":1,"step":1}',
    "a name of another type": b'{"event":5}',
    "an unknown event": b'{"t":1,"event":"something_new","field":1}',
    "a field of another type": b'{"t":1,"event":"step","step":"5","loss":1.0}',
    "a number that is null": b'{"t":1,"event":"step","step":null,"loss":1.0}',
    "no UTF-8": b'{"t":1,"event":"log","text":"\xff\xfe"}',
    "no UTF-8 in the name": b'{"t":1,"event":"\xff\xfe"}',
    "nested without end": b'{"t":1,"event":"step","step":1,"new":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "nested without end in a field": b'{"t":1,"event":"run_started","plan":{"a":' + b"[" * 100_000 + b"}}",
    "5,000 digits": b'{"t":1,"event":"step","step":' + b"9" * 5000 + b"}",
    "5,000 digits in an object": b'{"t":1,"event":"run_started","plan":{"a":' + b"9" * 5000 + b"}}",
    "more steps than a counter holds": b'{"t":1,"event":"step","step":%d}' % 2**63,
    "a negative count": b'{"t":1,"event":"step","step":-1}',
    "a time that no calendar has": b'{"t":1e300,"event":"step","step":1}',
    "half a line, then a whole one": b'{"t":1,"event":"step","step":1,"lo{"t":1,"event":"step","step":2}',
}


def test_what_is_written_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    log, tail = EventLog(path), EventTail(path)
    log.write(StepDone(step=1, loss=float("nan")))
    log.write(Evaluated(loss=2.5))
    step, evaluated = tail.events()
    assert isinstance(step, StepDone) and step.loss is None, "JSON has no NaN"
    assert step.t > 1_700_000_000
    assert isinstance(evaluated, Evaluated) and evaluated.loss == 2.5
    assert list(tail.events()) == []
    log.write(StepDone(t=5.0, step=2))
    assert list(tail.events()) == [StepDone(t=5.0, step=2)]


def test_lines_have_the_names_and_the_order_that_the_file_always_had(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    log = EventLog(path)
    log.write(RunStarted(t=1.0, model="m", predicted=None, step=2))
    log.write(MemoryReading(t=2.0, kind="rss", phase="load"))
    log.write(RunFinished(t=3.0, state="failed", error="it broke", step=4))
    log.write(GpuReading(t=4.0, power_watts=300.5))
    first, memory, failed, gpu = path.read_text().splitlines()
    assert first.startswith('{"t":1.0,"event":"run_started","model":"m","data":"","method":""')
    assert list(json.loads(first))[-3:] == ["foreseen", "versions", "step"], "what is not known yet is left out"
    assert json.loads(first)["foreseen"] is None
    assert "peak_reserved_bytes" not in memory and memory.endswith('"device_bytes":0,"phase":"load"}')
    assert failed == '{"t":3.0,"event":"run_finished","state":"failed","error":"it broke","step":4}'
    assert json.loads(gpu)["utilisation_percent"] is None, "what the driver refuses is null"
    log.write(RunFinished(state="paused", step=4))
    paused = events_on_disk.read(path, "run_finished")[-1]
    assert "error" not in paused and paused["result"] is None


def test_a_misspelt_field_does_not_pass() -> None:
    with pytest.raises(TypeError, match="los"):
        StepDone(los=1.0)  # type: ignore[call-arg]


def test_what_was_predicted_has_a_field_for_every_figure() -> None:
    names = {field.name for field in dataclasses.fields(Prediction)}
    assert names == set(PredictedFigures.__struct_fields__)


def test_every_event_type_is_read() -> None:
    written: list[Event] = [kind() for kind in Event.__subclasses__()]
    assert set(get_args(AnyEvent)) == set(Event.__subclasses__())
    lines = b"".join(msgspec.json.encode(events.record(event, 0.0)) + b"\n" for event in written)
    assert events.decoded(lines) == written


def test_a_half_written_last_line_waits_for_its_other_half(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"t":1,"event":"step","step":1}\n{"t":2,"ev')
    tail = EventTail(path)
    assert list(tail.events()) == [StepDone(t=1, step=1)]
    assert tail.offset == 32 and tail.bytes_left() == 0
    with path.open("ab") as file:
        file.write(b'ent":"step","step":2}\n')
    assert list(tail.events()) == [StepDone(t=2, step=2)]


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_line_costs_itself_only(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"\n".join((FINE, DAMAGED[damage], b"", FINE, b"")))
    assert list(EventTail(path).events()) == [Logged(t=1.0, text="fine")] * 2


@pytest.mark.parametrize(
    ("line", "read"),
    [
        (b'{"t":1,"event":"step","step":3,"loss":2,"colour":{"a":[1,{}]}}', StepDone(t=1, step=3, loss=2.0)),
        (b'{"event":"step","step":3}', StepDone(step=3)),
        (b'{"step":3,"event":"step","t":1}', StepDone(t=1, step=3)),
        (b'{"t":1,"event":"measured","phases":{"load":{"new":1}}}', None),
    ],
    ids=["an unknown field", "missing fields", "another order", "figures within"],
)
def test_an_event_of_another_version_is_read(line: bytes, read: Event | None) -> None:
    (event,) = events.decoded(line + b"\n")
    if read is None:
        assert isinstance(event, PhasesMeasured) and event.phases["load"].peak_bytes == 0
    else:
        assert event == read


def test_no_file_yet_is_no_event(tmp_path: Path) -> None:
    assert list(EventTail(tmp_path / "nothing").events()) == []


def test_text_that_is_no_unicode_is_written_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    EventLog(path).write(RunStarted(model="m\ud800", plan={"data\udcff": ["\ud800"]}))
    (event,) = events_on_disk.read(path)
    assert event["model"] == "m?" and event["plan"] == {"data?": ["?"]}


def test_lines_of_many_threads_are_never_mixed(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    log = EventLog(path)

    def write(worker: int) -> None:
        for number in range(200):
            log.write(Logged(level=str(worker), text=f"{number} {'x' * 500}"))

    threads = [threading.Thread(target=write, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines: list[dict[str, Any]] = events_on_disk.read(path)
    assert len(lines) == 800
    for worker in range(4):
        mine = [int(line["text"].split()[0]) for line in lines if line["level"] == str(worker)]
        assert mine == list(range(200))


def test_commands_reach_the_trainer_in_order_and_old_ones_do_not(tmp_path: Path) -> None:
    path = tmp_path / "commands.jsonl"
    send(path, "stop")
    inbox = Inbox(path)
    assert inbox.poll() == []
    send(path, "checkpoint")
    send(path, "pause")
    with path.open("ab") as file:
        file.write(
            b'{"event":"explode"}\n{"event":5}\n[]\n\xff\n{"x":' + b"[" * 100_000 + b'\n{"event":"stop","new":1}\n'
        )
    assert inbox.has_end()
    assert inbox.poll() == ["checkpoint", "pause", "stop"]
    assert inbox.poll() == []


def test_the_log_is_for_the_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    EventLog(path).close()
    assert path.stat().st_mode & 0o777 == 0o600
