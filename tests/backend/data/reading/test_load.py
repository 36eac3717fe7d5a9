from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from backend.data.reading.load import load
from backend.errors import UserError
from tests.backend.data.rows import jsonl, pairs

ROW = {"question": "a", "answer": "b"}


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.jsonl", '{"question": "a", "answer": "b"}\n\n'),
        ("rows.ndjson", '\ufeff{"question": "a", "answer": "b"}\r\n'),
        ("rows.json", '[{"question": "a", "answer": "b"}]'),
        ("columns.json", '{"question": ["a"], "answer": ["b"]}'),
        ("nested.json", '{"version": 1, "data": [{"question": "a", "answer": "b"}]}'),
        ("lines.json", '{"question": "a", "answer": "b"}\n'),
        ("rows.csv", "question,answer\r\na,b\r\n"),
        ("semicolons.csv", "question;answer\na;b\n"),
        ("rows.tsv", "question\tanswer\na\tb\n"),
        ("utf16.tsv", "question\tanswer\na\tb\n".encode("utf-16")),
        ("rows.jsonl.gz", gzip.compress(b'{"question": "a", "answer": "b"}\n')),
    ],
)
def test_every_file_format_gives_the_same_rows(tmp_path: Path, name: str, content: str | bytes) -> None:
    if name == "lines.json":
        content = str(content) * 2
    assert list(load(str(write(tmp_path, name, content))).rows) == [ROW] * (2 if name == "lines.json" else 1)


def test_parquet(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist([ROW, ROW]), tmp_path / "rows.parquet")
    assert list(load(str(tmp_path / "rows.parquet")).rows) == [ROW, ROW]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("e.jsonl", "", "e.jsonl is empty"),
        ("e.jsonl", " \n\n", "e.jsonl is empty"),
        ("b.jsonl", b"\x00\x01\x02" * 99, "is a binary file"),
        ("p.json", b"\x89PNG\r\n\x1a\n", "is not text but an image"),
        ("z.csv", b"PK\x03\x04", "ZIP archive"),
        ("x.jsonl", json.dumps(ROW) + "\n\n" + '{"question": "a" "answer"}', "x.jsonl line 3: not valid JSON"),
        ("n.jsonl", json.dumps(ROW) + "\n3\n", "n.jsonl line 2: an object in braces was expected, not a number"),
        ("x.json", '[{"a": 1},\n{"a" 2}]', "x.json line 2: not valid JSON"),
        ("deep.json", "[" * 99999, "nested too deeply"),
        ("o.json", '{"a": 1}', "without a list of rows"),
        ("f.csv", "a,b\n1,2\n1,2,3\n", "f.csv line 3: the row has 3 fields where the header has 2"),
        ("q.csv", 'a,b\n1,"2\n', "q.csv line 2: "),
        ("d.csv", "a,a\n1,2\n", "two columns are named 'a'"),
        ("h.csv", "question,answer\n", "holds no rows"),
        ("l.csv", "a,b\n1,é\n".encode("latin-1"), "l.csv line 2 is not UTF-8 (byte 0xe9)"),
        ("u.tsv", "a\tb\n1\t2\n".encode("utf-16-le"), "UTF-16 without a byte-order mark"),
        ("g.jsonl.gz", gzip.compress(b"{}")[:12], "no complete gzip file"),
        ("w.parquet", "PAR1abc", "no readable Parquet file"),
        ("x.xlsx", "a", ".xlsx is no known data format"),
        ("noending", "a", "its name has no ending"),
    ],
)
def test_a_file_that_is_wrong_is_said_in_one_sentence(
    tmp_path: Path, name: str, content: str | bytes, sentence: str
) -> None:
    with pytest.raises(UserError) as raised:
        load(str(write(tmp_path, name, content)))
    assert raised.value.field == "data"
    assert sentence in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_missing_file_names_the_nearest(tmp_path: Path) -> None:
    jsonl(tmp_path / "questions.jsonl", pairs(1))
    with pytest.raises(UserError, match=r"did you mean .*questions\.jsonl"):
        load(str(tmp_path / "question.jsonl"))
    with pytest.raises(UserError, match="there is no folder"):
        load(str(tmp_path / "no" / "rows.jsonl"))
    with pytest.raises(UserError, match="no data was named"):
        load(" ")


def test_of_a_folder_the_training_split_is_read(tmp_path: Path) -> None:
    for name, count in (("train-0.jsonl", 2), ("train-1.jsonl", 3), ("test.jsonl", 5)):
        jsonl(tmp_path / "test-data" / "sub" / name, pairs(count))
    write(tmp_path, "test-data/README.md", "About the data.")
    write(tmp_path, "test-data/.hidden/train.jsonl", "broken")
    source = load(str(tmp_path / "test-data"))
    assert len(source.rows) == 5
    assert [path.name for path in source.files] == ["train-0.jsonl", "train-1.jsonl"]
    assert "train-0.jsonl" in source.notes[0]
    assert "2 other files left out" in source.notes[0]


def test_a_folder_of_two_formats_or_none_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "config.json", "{}")
    write(tmp_path, "README.md", "x")
    with pytest.raises(UserError, match="holds no data files"):
        load(str(tmp_path))
    jsonl(tmp_path / "a.jsonl", pairs(1))
    write(tmp_path, "b.csv", "question,answer\na,b\n")
    with pytest.raises(UserError, match=r"holds CSV and JSONL files \(b.csv, a.jsonl\)"):
        load(str(tmp_path))


def test_plain_text_is_divided_without_loss(tmp_path: Path) -> None:
    words = [f"word{n}." for n in range(3000)]
    path = write(tmp_path, "long.txt", " ".join(words) + "\nA second document.\n")
    rows = load(str(path)).rows
    texts = [row["text"] for row in rows]
    assert " ".join(texts[:-1]).split() == words
    assert texts[-1] == "A second document."
    assert max(map(len, texts)) <= 4000
    assert [len(row) for row in rows] == [2] * (len(rows) - 2) + [1, 1]  # all but a document's last continue


def test_paragraphs_are_gathered_to_passages(tmp_path: Path) -> None:
    path = write(tmp_path, "notes.md", "# Title\n\nOne.\n\nTwo.\n")
    assert [row["text"] for row in load(str(path)).rows] == ["# Title\n\nOne.\n\nTwo."]


def test_the_demo_data_ships() -> None:
    source = load("demo")
    assert len(source.rows) == 480
    assert source.columns == ("question", "answer")
    assert (source.files[0].parent / "README.md").read_text().count("MIT License") == 1


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json"])
def test_a_lone_surrogate_becomes_a_letter_that_tokenizers_take(name: str, tmp_path: Path) -> None:
    row = '{"question": "caf\\udce9 \\ud83d\\ude00 \\ud800", "answer": "b"}'
    path = write(tmp_path, name, f"[{row}]" if name.endswith(".json") else row)
    assert load(str(path)).rows[0]["question"] == "caf\ufffd \U0001f600 \ufffd"


@pytest.mark.parametrize("said", ["x" * 300, "./y/" + "z" * 300, "~nobody-of-this-name/x", "~\0", "a\0b"])
def test_what_can_be_no_path_does_not_exist(said: str) -> None:
    with pytest.raises(UserError, match="does not exist"):
        load(said)


def test_a_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "caf\udce9.jsonl", '{"question": "a", "answer": "b"}')
    with pytest.raises(UserError, match="not UTF-8; rename"):
        load(str(path))
