"""Rows of large files: bounded memory, late columns, and an honest sample of what would take too long."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backend.data.constants import constants
from backend.data.formats import examples_of
from backend.data.inspect import inspect
from backend.data.reading import excerpt, json_values, stream
from backend.data.reading.load import load
from backend.data.reading.stream import Stream
from backend.errors import UserError
from tests.backend.data.rows import jsonl, pairs

ROOT = Path(__file__).parents[4]


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> Any:
    def give(**changed: int) -> None:
        monkeypatch.setattr(stream, "constants", lambda: replace(constants(), **changed))

    return give


def test_columns_are_those_of_all_rows(tmp_path: Path) -> None:
    rows = [*pairs(600), {**pairs(1)[0], "system": "Be brief."}]
    assert load(jsonl(tmp_path / "rows.jsonl", rows)).columns == ("question", "answer", "system")


def test_rows_that_are_not_kept_are_the_same_rows(tmp_path: Path, limits: Any) -> None:
    path = Path(jsonl(tmp_path / "rows.jsonl", pairs(300)))
    kept = Stream([path])
    limits(kept_bytes=10_000)
    large = Stream([path])
    assert kept.is_kept
    assert not large.is_kept
    for _ in range(2):
        assert list(large) == pairs(300)
    assert len(large) == 300
    assert large[5:7] == pairs(7)[5:]
    assert large[-1] == pairs(300)[-1]
    assert large.columns == kept.columns


def test_the_report_is_the_same_in_bounded_memory(tmp_path: Path, limits: Any) -> None:
    path = jsonl(tmp_path / "rows.jsonl", [*pairs(200), *pairs(80), {"question": "q", "answer": ""}])
    whole = inspect(path)
    limits(kept_bytes=10_000)
    assert examples_of(load(path)).built is None
    bounded = inspect(path)
    assert bounded.fingerprint == whole.fingerprint
    assert bounded.row_tokens.tolist() == whole.row_tokens.tolist()
    assert (bounded.duplicate_rows, bounded.empty_rows, bounded.used_rows) == (80, 1, 280)
    assert bounded.findings == whole.findings


def test_progress_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "SAID_EVERY", 100)
    said: list[str] = []
    inspect(jsonl(tmp_path / "rows.jsonl", pairs(250)), say=said.append)
    assert said == ["read 100 rows", "read 200 rows"]


def test_very_large_data_is_inspected_by_a_sample(tmp_path: Path, limits: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path = jsonl(tmp_path / "rows.jsonl", pairs(40_000))
    whole = inspect(path)
    limits(whole_bytes=1_000_000, sample_bytes=400_000)
    monkeypatch.setattr(excerpt, "BLOCK_BYTES", 20_000)
    part = inspect(path)
    assert part.all_rows == pytest.approx(40_000, rel=0.02)
    assert part.rows == len(part.row_tokens) == part.all_rows
    assert part.tokens == pytest.approx(whole.tokens, rel=0.04)
    assert not part.exact
    (said,) = [found.text for found in part.findings if found.kind == "sampled"]
    assert said.startswith("Of 3.1 MB about 0.4 MB were read")
    rows = list(load(path, samples=True).rows)
    numbers = [int(row["question"].split()[2]) for row in rows]
    assert numbers == sorted(set(numbers)), "whole lines, none of them twice"
    assert numbers[0] == 0
    assert numbers[-1] > 37_000, "spread over the whole file"


@pytest.mark.parametrize("name", ["rows.json", "rows.csv"])
def test_of_other_large_files_the_beginning_is_read(
    tmp_path: Path, limits: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_values, "CHUNK_BYTES", 10_000)
    rows = [{"question": f"Question {n:06}", "answer": "word " * 40} for n in range(40_000)]
    path = tmp_path / name
    if name == "rows.json":
        path.write_text("[" + ",\n".join(str(row).replace("'", '"') for row in rows) + "]")
    else:
        path.write_text("question,answer\n" + "".join(",".join(row.values()) + "\n" for row in rows))
    limits(whole_bytes=1_000_000, sample_bytes=5_000_000)
    part = inspect(str(path))
    assert part.all_rows == pytest.approx(40_000, rel=0.02)
    assert len(load(str(path), samples=True).rows) < 30_000


def test_a_fault_in_a_sample_is_named_by_its_place_in_the_whole(
    tmp_path: Path, limits: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [*pairs(1000), *({"question": f"q{n}"} for n in range(1000))]
    limits(whole_bytes=50_000, sample_bytes=40_000)
    monkeypatch.setattr(excerpt, "BLOCK_BYTES", 4000)
    assert len(load(jsonl(tmp_path / "rows.jsonl", rows), samples=True).rows) < 1500
    with pytest.raises(UserError, match="row 1001 has no 'answer'"):
        inspect(jsonl(tmp_path / "rows.jsonl", rows))


INSPECT = "from backend.data.inspect import inspect; print(inspect({path!r}).all_rows)"


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """250 MB beside 1 MB: kept whole, the rows and their examples would take 300 MB more."""
    row = '{"question": "What is it?", "answer": "' + "word " * 600 + '"}\n'
    peaks = []
    for count in (300, 80_000):
        path = tmp_path / f"{count}.jsonl"
        with path.open("w") as file:
            file.writelines(row for _ in range(count))
        command = [sys.executable, "-c", INSPECT.format(path=str(path))]
        child = subprocess.Popen(["/bin/sh", "-c", 'exec "$@"', "sh", *command], cwd=ROOT, stdout=subprocess.PIPE)
        assert child.stdout is not None
        said = child.stdout.read()
        _, status, used = os.wait4(child.pid, 0)
        assert (status, int(said)) == (0, count)
        peaks.append(used.ru_maxrss / 1024)
        path.unlink()
    assert peaks[1] < peaks[0] + 260
