"""What finished runs on this box measured and what was predicted: `$FTTUI_HOME/calibration.jsonl`, a line a run."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from backend import constants, kept_names, paths, typed
from backend.answers import Method
from backend.plan.job import Bytes, Job, Rate, Uncorrected
from backend.run.event_log import EventTail
from backend.run.events import CpuReading, PhasesMeasured, RunStarted, StepDone
from backend.run.folder import RunFolder

FILE = "calibration.jsonl"


class Phase(msgspec.Struct, frozen=True):
    """One phase of a run. Bytes are what torch allocated on a GPU, the process's resident memory on a CPU."""

    peak_bytes: Bytes
    reserved_bytes: Bytes
    rest_bytes: Bytes
    """Bytes in use at the end of its first part."""
    seconds: Rate
    times: int


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One run."""

    t: float
    """Unix seconds."""
    run: str
    kind: str
    """`cuda` or `cpu`."""
    device: str
    versions: dict[str, str]
    model: str
    method: Method
    settings: dict[str, Any]
    predicted: Uncorrected
    """What the formulas said, before any correction."""
    phases: dict[str, Phase]
    context_bytes: Bytes | None
    """Bytes of the process on the GPU outside torch's allocator; None if they could not be read."""
    steps: int
    """Number of steady steps, over which the speed is measured."""
    tokens_per_second: Rate | None
    """Median of the steady steps; None if they vary much or other programs used the cores: something slowed the run."""


def file() -> Path:
    """The file with the records."""
    return paths.home() / FILE


def remember(folder: RunFolder, job: Job) -> str | None:
    """Append the run's record, read from its events. None, or why there is none. Raises OSError (disk full)."""
    measured, versions, rates, others = _last_attempt(folder)
    if job.predicted is None or job.predicted.uncorrected is None:
        return "none was predicted"
    if job.plan.processes > 1:
        return "several devices"
    if not measured.as_planned:
        return "settings changed"
    rates = _steady(rates)
    if not rates:
        return "too few steps"
    record = {
        "t": round(time.time(), 3),
        "run": folder.name,
        "kind": job.device,
        "device": job.device_name,
        "versions": versions,
        "model": job.model,
        "method": job.plan.method,
        "settings": asdict(job.plan),
        "foreseen": kept_names.outside(asdict(job.predicted.uncorrected)),
        "phases": measured.phases,
        "context_bytes": measured.context_bytes,
        "steps": len(rates),
        "tokens_per_second": _speed(rates, others),
    }
    _append(msgspec.json.encode(record) + b"\n")
    return None


def read() -> tuple[list[Record], int]:
    """All records, the oldest first, a resumed run only once; and the number of lines that can't be used."""
    found: dict[str, Record] = {}
    damaged = 0
    for line in _lines():
        try:
            with typed.faults():
                record = typed.convert(kept_names.inside(msgspec.json.decode(line)), Record)
        except typed.Damaged:
            damaged += 1
            continue
        found.pop(record.run, None)
        found[record.run] = record
    return list(found.values()), damaged


def _lines() -> Iterator[bytes]:
    try:
        content = typed.read_bytes(file())
    except typed.Damaged:
        return
    yield from (line for line in content.splitlines() if line.strip())


def _append(line: bytes) -> None:
    """One write, so that runs that end at the same time don't mix their lines; a torn last line is ended first."""
    path = file()
    torn = path.is_file() and path.stat().st_size > 0 and not path.read_bytes().endswith(b"\n")
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK, 0o600)
    try:
        os.write(fd, b"\n" + line if torn else line)
    finally:
        os.close(fd)


class _Attempt(NamedTuple):
    """The figures of the events since the trainer's last start."""

    measured: PhasesMeasured
    versions: dict[str, str]
    rates: list[float]
    """Tokens per second of each step."""
    others: list[float]
    """Percent of all cores that other programs used, about once a second, in a run on a CPU; 0 if cores were free."""


def _last_attempt(folder: RunFolder) -> _Attempt:
    found = _Attempt(PhasesMeasured(), {}, [], [])
    for event in EventTail(folder.events_file).events():
        match event:
            case RunStarted():
                found = _Attempt(PhasesMeasured(), event.versions, [], [])
            case StepDone():
                found.rates.append(event.tokens_per_second or 0.0)
            case CpuReading(load_percent=float(load), own_percent=float(own)):
                found.others.append(load - own if load >= constants.calibration().steady.full_percent else 0.0)
            case PhasesMeasured():
                found = found._replace(measured=event)
    return found


def _speed(rates: list[float], others: list[float]) -> float | None:
    table = constants.calibration().steady
    if others and statistics.median(others) > table.most_others_percent:
        return None
    lower, _, upper = statistics.quantiles(rates, n=4, method="inclusive")
    return statistics.median(rates) if upper <= table.most_spread * lower else None


def _steady(rates: list[float]) -> list[float]:
    """The rates after the first steps; empty if there are too few."""
    table = constants.calibration().steady
    steady = [rate for rate in rates[table.left_out :] if rate > 0]
    return steady if len(steady) >= table.least else []
