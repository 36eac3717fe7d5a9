"""Every file that is read back, damaged in every way: only the damaged part is lost, and no reader raises."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import HealthCheck, given, settings

from backend.measured import calibration, records
from tests.faults.bad_bytes import NASTY, damaged
from tests.faults.fuzz import KEPT
from tests.faults.outside_files import OUTSIDE
from tests.faults.own_files import READERS, RECORD


@pytest.mark.parametrize("name", READERS)
def test_nasty_bytes(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    reader = READERS[name]
    for content in (*NASTY.values(), reader.good()):
        file = reader.file()
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content)
        reader.reads()
        reader.reads()  # a list of runs has two forms


@pytest.mark.parametrize("name", READERS)
def test_damaged_bytes(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    reader = READERS[name]
    file, good = reader.file(), reader.good()
    file.parent.mkdir(exist_ok=True)

    @settings(max_examples=300, deadline=None, database=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(damaged(good))
    def reads(content: bytes) -> None:
        file.write_bytes(content)
        reader.reads()

    reads()


@pytest.mark.torch
@pytest.mark.parametrize("name", sorted(path.name for path in KEPT.iterdir()))
def test_what_once_ended_badly(name: str) -> None:
    """Inputs that `make fuzz` has kept."""
    reader = (READERS | OUTSIDE)[name]
    file = reader.file()
    for path in sorted((KEPT / name).glob("*.bin")):
        file.write_bytes(path.read_bytes())
        reader.reads()


@pytest.mark.parametrize("name", READERS)
def test_a_folder_and_a_pipe_in_its_place(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    reader = READERS[name]
    file = reader.file()
    file.parent.mkdir(exist_ok=True)
    file.unlink(missing_ok=True)
    if name not in ("ran_out.json",):
        os.mkfifo(file)
        reader.reads()
        file.unlink()
        file.mkdir()
        reader.reads()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"rest_bytes":1,"seconds"', b'"rest_bytes":' + b"9" * 400 + b',"seconds"'),
        (b'"parameters":10', b'"parameters":-1'),
        (b'"overhead_seconds":1.0', b'"overhead_seconds":1e300'),
        (b'"tokens_per_second":3.0', b'"tokens_per_second":-3.0'),
    ],
    ids=["400 digits", "below 0", "endless", "negative speed"],
)
def test_absurdly_large_figures_are_a_damaged_record(old: bytes, new: bytes) -> None:
    line = json.dumps(RECORD, separators=(",", ":")).encode()
    assert old in line
    records.file().write_bytes(line + b"\n" + line.replace(old, new) + b"\n")
    assert len(records.read()[0]) == 1
    assert records.read()[1] == 1


def test_a_ratio_that_underflows_is_none() -> None:
    assert calibration._ratio(1e-300, 1e29) is None
