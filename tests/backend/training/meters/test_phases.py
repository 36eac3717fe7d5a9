"""Memory phase by phase."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from backend.run.event_log import EventLog
from backend.training.meters.memory_source import CudaMemory, Lap, ProcessMemory
from backend.training.meters.meters import Meters
from backend.training.meters.phases import Phases
from backend.training.report import Report
from tests import events_on_disk

MB = 1_000_000


class Laps:
    """Gives these laps, then empty ones."""

    def __init__(self, *laps: Lap) -> None:
        self.laps = list(laps)

    def lap(self) -> Lap:
        return self.laps.pop(0) if self.laps else Lap(0, 0, 0)


def test_stretches_of_one_phase_count_together() -> None:
    before, first, between, second, last = (Lap(9, 9, 1), Lap(5, 6, 3), Lap(2, 2, 2), Lap(8, 9, 7), Lap(4, 4, 4))
    phases = Phases(Laps(before, first, between, second, last))
    for name in ("train", "eval", "train", "train", "save"):
        phases.begin(name)
    phases.end()
    train = phases.found["train"]
    assert (train.peak_bytes, train.reserved_bytes, train.rest_bytes, train.times) == (8, 9, 3, 2)
    assert phases.found["eval"].peak_bytes == 2 and phases.found["save"].peak_bytes == 4
    assert all(phase.seconds >= 0 for phase in phases.found.values())


def test_what_comes_before_the_first_phase_and_after_the_last_belongs_to_none() -> None:
    phases = Phases(Laps(Lap(9, 9, 9), Lap(1, 1, 1), Lap(7, 7, 7)))
    phases.begin("load")
    phases.end()
    phases.end()
    assert {name: phase.peak_bytes for name, phase in phases.found.items()} == {"load": 1}


def test_a_process_has_a_peak_for_each_stretch() -> None:
    memory = ProcessMemory()
    memory.lap()
    block = bytearray(b"\1") * (300 * MB)
    high = memory.lap()
    del block
    memory.lap()
    low = memory.lap()
    assert high.peak_bytes > low.peak_bytes + 200 * MB
    assert memory.read().peak_bytes >= high.peak_bytes, "the run's own peak is kept"


def test_a_kernel_that_does_not_reset_the_peak_still_tells_a_higher_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(self: Path, *_: object) -> int:
        raise PermissionError

    monkeypatch.setattr(Path, "write_text", refused)
    memory = ProcessMemory()
    quiet = memory.lap()
    block = bytearray(b"\1") * (2 * memory.read().peak_bytes)
    size = len(block)
    del block
    high, after = memory.lap(), memory.lap()
    assert high.peak_bytes > size
    assert quiet.peak_bytes < size and after.peak_bytes < size


def test_the_gpu_s_peaks_start_anew_with_each_phase(monkeypatch: pytest.MonkeyPatch) -> None:
    now, peak = {"bytes": 10}, {"bytes": 10}

    def reset() -> None:
        peak["bytes"] = now["bytes"]

    fakes: dict[str, Any] = {
        "reset_peak_memory_stats": reset,
        "current_device": lambda: 0,
        "get_device_properties": lambda _: type("Properties", (), {"total_memory": 1000}),
        "memory_allocated": lambda: now["bytes"],
        "memory_reserved": lambda: now["bytes"] + 5,
        "max_memory_allocated": lambda: peak["bytes"],
        "max_memory_reserved": lambda: peak["bytes"] + 5,
    }
    for name, fake in fakes.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    memory = CudaMemory()
    now["bytes"], peak["bytes"] = 40, 90
    assert memory.lap() == Lap(90, 95, 40)
    peak["bytes"] = 60
    assert memory.lap() == Lap(60, 65, 40)
    read = memory.read()
    assert (read.peak_bytes, read.peak_reserved_bytes, read.allocated_bytes) == (90, 95, 40)


def test_the_meters_conclude_with_what_each_phase_took(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    report = Report(log)
    with Meters(report, "cpu") as meters:
        for name in ("data", "load", "train"):
            report.phase(name)
        meters.conclude(as_planned=True)
    report.phase("save")
    log.close()
    (measured,) = events_on_disk.read(tmp_path / "events.jsonl", "measured")
    assert (measured["kind"], measured["as_planned"], measured["context_bytes"]) == ("rss", True, None)
    assert list(measured["phases"]) == ["data", "load", "train"]
    assert measured["phases"]["train"]["peak_bytes"] >= measured["phases"]["train"]["rest_bytes"] > 10 * MB
