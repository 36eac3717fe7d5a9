"""Small files that would take as much memory and time as thousands: an early error that names the row."""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from backend import typed
from backend.data.chat import masking
from backend.data.inspect import inspect
from backend.data.reading import arrow_rows, json_values, readers, sniff, stream
from backend.data.reading.load import load
from backend.errors import UserError
from backend.model import config, find
from tests.backend.data.rows import jsonl, pairs
from tui import cli

ROW = {"prompt": "q", "completion": "a"}
LONG = {"prompt": "q", "completion": "word " * 100}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits that a test's files reach."""
    monkeypatch.setattr(sniff, "LONGEST_LINE", 2000)
    for module in (sniff, json_values, readers, arrow_rows):
        monkeypatch.setattr(module, "LONGEST_ROW", 400)


def refused(path: Path | str) -> str:
    with pytest.raises(UserError) as raised:
        load(str(path))
    return str(raised.value)


@pytest.mark.usefixtures("small")
def test_a_row_that_is_too_long_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    assert refused(jsonl(path, [ROW, LONG, ROW])) == (
        "rows.jsonl line 2 holds a row of more than 0 MB; divide it, or remove it"
    )
    assert "line 2 is longer than 0 MB" in refused(jsonl(path, [ROW, {"prompt": "q" * 3000, "completion": "a"}]))
    assert "line 1 holds a row" in refused(jsonl(path, [LONG, ROW]))
    (tmp_path / "rows.json").write_text(json.dumps([ROW, LONG]))
    assert "rows.json row 2, 'completion' holds more than 0 MB" in refused(tmp_path / "rows.json")
    (tmp_path / "rows.csv").write_text(f"prompt,completion\nq,a\nr,{'b' * 500}\n")
    assert "row 2, 'completion' holds more than 0 MB" in refused(tmp_path / "rows.csv")
    pq.write_table(
        pa.table({"prompt": ["q"] * 30, "completion": ["a", "b" * 700, *"c" * 28]}), tmp_path / "rows.parquet"
    )
    assert "row 2, 'completion' holds more than 0 MB" in refused(tmp_path / "rows.parquet")


@pytest.mark.usefixtures("small")
def test_a_long_line_that_is_a_whole_table_is_read(tmp_path: Path) -> None:
    (tmp_path / "table.json").write_text(json.dumps({"data": [ROW] * 30}))
    (tmp_path / "array.json").write_text(json.dumps([ROW] * 300))
    assert len(load(str(tmp_path / "table.json")).rows) == 30
    assert len(load(str(tmp_path / "array.json")).rows) == 300


def test_an_array_in_one_line_is_read_in_pieces_cut_between_characters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"prompt": "é" * n, "completion": "€𝄞" * n} for n in range(1, 40)]
    (tmp_path / "rows.json").write_text(json.dumps(rows, ensure_ascii=False))
    for size in (7, 8, 9, 10):
        monkeypatch.setattr(json_values, "CHUNK_BYTES", size)
        assert list(load(str(tmp_path / "rows.json")).rows) == rows


def test_what_unpacks_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sniff, "SUSPICIOUS_BYTES", 200_000)
    with gzip.open(tmp_path / "rows.jsonl.gz", "wt") as file:
        file.write((json.dumps({"prompt": "q", "completion": "a" * 500}) + "\n") * 20_000)
    assert "rows.jsonl.gz unpacks to more than 100 times its size" in refused(tmp_path / "rows.jsonl.gz")
    pq.write_table(pa.table({"text": ["word " * 300] * 20_000}), tmp_path / "rows.parquet")
    assert "rows.parquet unpacks to more than 100 times its size" in refused(tmp_path / "rows.parquet")


def test_an_endless_conversation_is_left_out_by_its_row(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(masking, "LONGEST", 400)
    found = inspect(jsonl(tmp_path / "rows.jsonl", [*pairs(3), LONG]), model=find.find(str(tiny_model)))
    assert found.refused_rows == 1
    assert any("row 4: it holds 501 characters, and 400 are the most" in one.text for one in found.findings)


def test_keys_that_are_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "MOST_COLUMNS", 100)
    rows = [ROW | {f"user_{n}": 1} for n in range(200)]
    assert "the rows have 202 different keys, such as prompt, completion, user_0" in refused(
        jsonl(tmp_path / "rows.jsonl", rows)
    )


def test_rows_that_are_empty_objects(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the rows are empty objects"):
        inspect(jsonl(tmp_path / "rows.jsonl", [{}, {}]))


def test_a_key_of_a_thousand_parts() -> None:
    with pytest.raises(typed.Damaged, match="more than 50 parts"):
        typed.plain_toml("a." * 1000 + "a = 1")
    assert typed.plain_toml("a.b.c = 1") == {"a": {"b": {"c": 1}}}


def test_a_sentence_stays_a_sentence() -> None:
    said = str(UserError(f"no column {'9' * 5000} in {'a b ' * 5000}; choose another"))
    assert len(said) < 1300
    assert said.endswith("; choose another")


@pytest.mark.parametrize(
    "option",
    [
        *("--rows=99999999999999999999", "--rows=1e308", "--rows=-1", "--rows=nan", f"--row-tokens=1{'0' * 400}"),
        *("--seed=-1", f"--seed=1{'0' * 400}", "--epochs=1e308", "--epochs=nan", "--epochs=-1"),
        *("--effective-batch=99999999999999999999", f"--set=micro_batch=1{'0' * 400}"),
        *(f"--set=keep_checkpoints=1{'0' * 400}", "--set=learning_rate=1e308", "--set=seed=99999999999999999999"),
    ],
)
def test_absurd_numbers_are_refused_at_once(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = [x for x in ("--rows=500", "--row-tokens=400") if x.partition("=")[0] != option.partition("=")[0]]
    assert cli.run(["plan", "--model", "8b", "--gpu", "4090", *sizes, option]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert len(said) < 500


@pytest.mark.parametrize(
    "content", ['{"step": 1e999, "t":' + "[" * 5000 + "}", '{"prompt": "q", "' + "9" * 30_000 + 'x": "a"}']
)
def test_rows_that_took_a_reader_down(content: str, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(content + "\n" + content + "\n")
    began = time.process_time()
    with pytest.raises(UserError):
        inspect(str(tmp_path / "rows.jsonl"))
    assert time.process_time() - began < 3


def test_names_that_no_file_can_have_and_a_column_of_two_lines(tmp_path: Path) -> None:
    assert not config.is_native("llama" + "9" * 5000)
    assert not config.is_native("a\0b")
    (tmp_path / "rows.tsv").write_text('"one\ntwo"\tc\n"b"\t"d"\n')
    with pytest.raises(UserError) as raised:
        inspect(str(tmp_path / "rows.tsv"))
    assert "\n" not in str(raised.value)


def test_parquet_whose_names_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"promptprompt": ["q"], "completion": ["a"]}), path)
    path.write_bytes(path.read_bytes().replace(b"promptprompt", b"prompt\xf2rompt"))
    assert "no readable Parquet file" in refused(path)
