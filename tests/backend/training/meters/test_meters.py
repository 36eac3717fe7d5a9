from __future__ import annotations

from pathlib import Path

import pytest

from backend.run.event_log import EventLog
from backend.training.meters import memory_source
from backend.training.meters.memory_source import ProcessMemory
from backend.training.meters.meters import Meters
from backend.training.report import Report
from tests import events_on_disk


def test_memory_is_read_at_once_with_the_phase(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    report = Report(log)
    report.phase("eval")
    with Meters(report, "cpu") as reading:
        assert reading.peak_bytes > 10_000_000
    log.close()
    event = events_on_disk.read(tmp_path / "events.jsonl", "memory")[0]
    assert event["kind"] == "rss" and event["phase"] == "eval"
    cpu = events_on_disk.read(tmp_path / "events.jsonl", "cpu")[0]
    assert cpu["cores"] >= 1 and 0 <= cpu["load_percent"] <= 100 and cpu["own_percent"] >= 0
    assert 0 < event["allocated_bytes"] <= event["peak_bytes"] < event["device_bytes"]


def test_the_peak_is_counted_between_readings() -> None:
    memory = ProcessMemory()
    before = memory.read()
    block = bytearray(300_000_000)
    block[::4096] = bytes(len(block[::4096])) or b""
    del block
    after = memory.read()
    assert after.allocated_bytes < before.allocated_bytes + 200_000_000
    assert after.peak_bytes >= before.allocated_bytes + 250_000_000


def test_a_kernel_that_does_not_reset_the_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(self: Path, *_: object) -> int:
        raise PermissionError

    monkeypatch.setattr(Path, "write_text", refused)
    assert ProcessMemory().read().peak_bytes >= memory_source._lifetime_peak_bytes() * 0.9
