"""A file's content counts more than its extension: JSON of any layout, packed files, Arrow, odd tables."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from backend.data.reading.readers import Reading, rows_of
from backend.errors import UserError

ROWS = [{"question": f"How many {n}?", "answer": f"There are {n}."} for n in range(3)]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS)


def read(folder: Path, name: str, content: str | bytes) -> list[dict[str, Any]]:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(rows_of(path))


def refusal(folder: Path, name: str, content: str | bytes) -> str:
    with pytest.raises(UserError) as raised:
        read(folder, name, content)
    assert raised.value.field == "data"
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize(
    "content",
    [
        LINES,
        json.dumps(ROWS),
        json.dumps(ROWS, indent=2),
        LINES.replace("}\n", "},\n"),
        "[\n" + LINES.replace("}\n", "},\n") + "]\n",
        "".join(json.dumps(row, indent=2) + "\n" for row in ROWS),
        ",".join(json.dumps(row, indent=2) for row in ROWS),
        LINES.replace("\n", ""),
        json.dumps({str(n): row for n, row in enumerate(ROWS)}),
        json.dumps({"version": 1, "data": ROWS}),
        json.dumps({"train": ROWS, "test": ROWS[:1]}),
        json.dumps({key: {str(n): row[key] for n, row in enumerate(ROWS)} for key in ROWS[0]}),
        json.dumps({key: [row[key] for row in ROWS] for key in ROWS[0]}),
        json.dumps({"columns": ["question", "answer"], "index": [0, 1, 2], "data": [list(x.values()) for x in ROWS]}),
        json.dumps(
            {"features": [{"name": "question"}], "rows": [{"row_idx": n, "row": x} for n, x in enumerate(ROWS)]}
        ),
        "\ufeff\n\n" + LINES.replace("\n", "\r\n"),
        LINES.replace("\n", "\r"),
        LINES.encode("utf-16"),
    ],
)
@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json", "rows.csv", "rows", "rows.jsonl.bak"])
def test_json_of_any_layout_under_any_name(tmp_path: Path, name: str, content: str | bytes) -> None:
    assert read(tmp_path, name, content) == ROWS


def test_rows_that_were_encoded_twice(tmp_path: Path) -> None:
    assert read(tmp_path, "rows.jsonl", "".join(json.dumps(json.dumps(row)) + "\n" for row in ROWS)) == ROWS


def test_of_several_splits_in_one_file_the_training_one_is_read_and_said(tmp_path: Path) -> None:
    path = tmp_path / "all.json"
    path.write_text(json.dumps({"train": ROWS, "test": ROWS[:1]}))
    reading = Reading()
    assert list(rows_of(path, reading)) == ROWS
    assert reading.notes == ["Of all.json, the rows under 'train' are used; those under 'test' are left out."]


def test_a_value_larger_than_what_is_read_at_once(tmp_path: Path) -> None:
    rows = [{"text": "a" * 3_000_000}, {"text": "b"}]
    assert read(tmp_path, "rows.json", json.dumps(rows, indent=1)) == rows
    assert read(tmp_path, "rows.jsonl", "".join(json.dumps(x, indent=1) for x in rows)) == rows


def test_lists_of_turns_line_by_line(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    assert read(tmp_path, "rows.jsonl", (json.dumps(turns) + "\n") * 2) == [{"messages": turns}] * 2


def test_the_last_of_two_equal_keys_and_numbers_that_are_none_or_huge(tmp_path: Path) -> None:
    text = '{"question": "old", "question": "q", "score": NaN, "id": 123456789012345678901234567890}\n' * 2
    rows = read(tmp_path, "rows.jsonl", text)
    assert rows[1]["question"] == "q"
    assert rows[1]["id"] == 123456789012345678901234567890
    assert rows[1]["score"] != rows[1]["score"]


@pytest.mark.parametrize(
    ("name", "content", "sentences"),
    [
        ("a.jsonl", LINES + '{"question": "half', ("a.jsonl line 4: not valid JSON", "fix or remove that line")),
        ("a.json", json.dumps(ROWS, indent=1)[:-20], ("a.json line 12",)),
        ("a.json", "[" + json.dumps(ROWS[0]) + ",", ("a.json line 1", "cut off")),
        ("a.json", "// mine\n" + json.dumps(ROWS), ("a.json line 1", "a comment")),
        ("a.jsonl", str(ROWS[0]) + "\n", ("a.jsonl line 1", "single quotes", "json.dumps")),
        ("a.jsonl", '{"a": None}\n{"a": 1}', ("a.jsonl line 1", "None")),
        ("a.jsonl", '{"a": 1}\n{"a": ' + "9" * 5000 + "}", ("a.jsonl line 2", "too many digits", "in quotes")),
        ("a.jsonl", LINES.encode("latin-1").replace(b"many", b"m\xe9ny"), ("a.jsonl line 1 is not UTF-8 (byte 0xe9)",)),
        ("a.jsonl", '{"a": 1}\nnull\n', ("a.jsonl line 2", "not null")),
        ("a.csv", "<!DOCTYPE html><html>", ("an HTML page", "/resolve/")),
        ("a.parquet", "version https://git-lfs.github.com/spec/v1\n", ("git lfs pull",)),
        ("a.csv", "How many are 1 and 2?,There are 3.\n" * 2, ("a.csv line 1 is a row", "names the columns")),
        ("a.csv", "a,b\n1,2\n1,2,3\n", ("a.csv line 3", "fields that hold a comma or a line break in double")),
        ("a.csv", "prompt,completion\na b;c\nd, e;f\n", ("line 1 is divided by commas", "below it by semicolons")),
        ("a.csv", "How many (1),There are 1. (1)\n" * 2, ("a.csv line 1 is a row",)),
        ("a.csv", "cat,animal\nrose,plant\noak,plant\ndog,animal\n", ("a.csv line 1 is a row ('animal')",)),
        ("a.tsv", "yes\tno\nno\tyes\nno\tno\n", ("a.tsv line 1 is a row ('no')",)),
        ("a.csv", "prompt:completion\na:b\n", ("line 1 names several columns in one ('prompt:completion')",)),
        ("a.csv", "My list\nprompt,completion\na,b\n", ("a.csv line 2", "remove the lines above the header")),
        ("a.csv", "a|b\n1|2\n1|2|3\n", ("a.csv line 3", "fields that hold a pipe or")),
    ],
)
def test_what_is_wrong_is_named_with_its_place_and_fix(
    tmp_path: Path, name: str, content: str | bytes, sentences: tuple[str, ...]
) -> None:
    said = refusal(tmp_path, name, content)
    assert all(sentence in said for sentence in sentences), said


@pytest.mark.parametrize(
    "content",
    [
        'question,answer\n"How many, 1?",x\n',
        'question;answer\n"How many, 1?";x\n',
        "question|answer\nHow many, 1?|x\n",
        "question\tanswer\nHow many, 1?\tx\n",
        "sep=;\nquestion;answer\nHow many, 1?;x\n",
        'question, answer\n"How many, 1?", "x"\n',
        'sep=;\nquestion;  answer\n"How many, 1?";  "x"\n',
        "| question | answer |\n|---|:-:|\n| How many, 1? | x |\n",
    ],
)
def test_the_delimiter_of_a_table_is_found(tmp_path: Path, content: str) -> None:
    assert read(tmp_path, "rows.csv", content) == [{"question": "How many, 1?", "answer": "x"}]


def test_spaces_and_quotes_that_are_text_stay(tmp_path: Path) -> None:
    content = 'question,answer\na," ""b"", she said"\nc, d\ne," f"\n'
    assert [row["answer"] for row in read(tmp_path, "rows.csv", content)] == [' "b", she said', " d", " f"]


def test_commas_in_the_header_of_a_table_with_semicolons(tmp_path: Path) -> None:
    content = "question, in words;answer, in words\nHow many?;x\nAnd now?;y\n"
    rows = read(tmp_path, "rows.csv", content)
    assert rows[1] == {"question, in words": "And now?", "answer, in words": "y"}


def test_line_breaks_in_quotes_and_the_index_that_pandas_writes(tmp_path: Path) -> None:
    rows = read(tmp_path, "rows.csv", ',question,answer\r\n0,"a\r\nb",c\r\n')
    assert rows == [{"index": "0", "question": "a\nb", "answer": "c"}]


def zipped(names: dict[str, str]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in names.items():
            archive.writestr(name, content)
    return file.getvalue()


PACKED = {
    "rows.jsonl.gz": gzip.compress(LINES.encode()),
    "rows.jsonl.bz2": bz2.compress(LINES.encode()),
    "rows.jsonl.xz": lzma.compress(LINES.encode()),
    "rows.jsonl.zst": pa.compress(LINES.encode(), "zstd", asbytes=True),
    "rows.zip": zipped({"rows.jsonl": LINES, "__MACOSX/._rows.jsonl": "x"}),
}


@pytest.mark.parametrize("name", PACKED)
def test_packed_files_are_known_by_their_content(tmp_path: Path, name: str) -> None:
    assert read(tmp_path, name, PACKED[name]) == ROWS
    assert read(tmp_path, "rows.jsonl", PACKED[name]) == ROWS


@pytest.mark.parametrize("name", PACKED)
def test_packed_files_that_are_cut_off(tmp_path: Path, name: str) -> None:
    assert "is no complete" in refusal(tmp_path, name, PACKED[name][:-12])


def test_archives_that_hold_no_table(tmp_path: Path) -> None:
    assert "holds 2 files (a.jsonl, b.jsonl)" in refusal(tmp_path, "a.zip", zipped({"a.jsonl": "", "b.jsonl": ""}))
    assert "save its table as CSV" in refusal(tmp_path, "a.xlsx", zipped({"[Content_Types].xml": "", "x": ""}))
    assert "no known data format" in refusal(tmp_path, "a.jsonl.zip", zipped({"a.docx": "x"}))


@pytest.mark.parametrize("stream", [True, False])
def test_arrow_files(tmp_path: Path, stream: bool) -> None:
    table = pa.Table.from_pylist(ROWS)
    path = tmp_path / "data-00000-of-00001.arrow"
    with (pa.ipc.new_stream if stream else pa.ipc.new_file)(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    assert list(rows_of(path)) == ROWS
    path.write_bytes(path.read_bytes()[:-40])
    if not stream:
        with pytest.raises(UserError, match="no readable Arrow file"):
            list(rows_of(path))


def test_a_table_under_another_formats_name(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "rows.json")
    assert list(rows_of(tmp_path / "rows.json")) == ROWS
    assert read(tmp_path, "rows.parquet", LINES) == ROWS


def parquet(folder: Path, table: pa.Table) -> list[dict[str, Any]]:
    pq.write_table(table, folder / "rows.parquet")
    return list(rows_of(folder / "rows.parquet"))


def test_nulls_that_arrow_fills_in_are_not_there(tmp_path: Path) -> None:
    """Two calls of different functions: each struct has the fields of both."""
    rows = [
        {
            "messages": [
                {"role": "user", "content": "q"},
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [{"function": {"name": name, "arguments": given}}],
                },
            ],
            "tools": [{"type": "function", "function": {"name": name, "parameters": {"properties": schema}}}],
            "system": None,
        }
        for name, given, schema in (
            ("add", {"x": 1, "y": [1, 2]}, {"x": {"type": "integer"}}),
            ("weather", {"city": "Rome"}, {"city": {"type": "string", "enum": ["Rome"]}}),
        )
    ]
    assert parquet(tmp_path, pa.Table.from_pylist(rows)) == rows


def test_json_that_datasets_keeps_as_text_is_decoded(tmp_path: Path) -> None:
    values = [{"x": 1, "note": None}, {"city": "Rome"}]
    texts = pa.array([json.dumps(value) for value in values]).cast(pa.json_(pa.string()))
    nested = pa.StructArray.from_arrays([pa.array(["add", "weather"]), texts], names=["name", "arguments"])
    rows = parquet(tmp_path, pa.table({"call": nested, "meta": texts}))
    assert [row["meta"] for row in rows] == values
    assert rows[0]["call"] == {"name": "add", "arguments": {"x": 1, "note": None}}, "a null of its own stays"


def test_cells_become_what_json_would_hold(tmp_path: Path) -> None:
    from datetime import date, datetime
    from decimal import Decimal

    kinds = pa.map_(pa.string(), pa.string())
    table = pa.table(
        {
            "day": pa.array([date(2026, 1, 2)]),
            "time": pa.array([datetime(2026, 1, 2, 3, 4)]),
            "price": pa.array([Decimal("1.50")]),
            "bytes": pa.array(["é".encode()]),
            "image": pa.array([b"\xff\xfe"]),
            "turns": pa.array([[[("role", "user"), ("content", "q")]]], pa.list_(kinds)),
            "kind": pa.array(["a"]).dictionary_encode(),
            "none": pa.array([None], pa.string()),
        }
    )
    assert parquet(tmp_path, table) == [
        {
            "day": "2026-01-02",
            "time": "2026-01-02T03:04:00",
            "price": "1.50",
            "bytes": "é",
            "image": b"\xff\xfe",
            "turns": [{"role": "user", "content": "q"}],
            "kind": "a",
            "none": None,
        }
    ]


def test_parquet_that_names_a_column_twice_or_holds_broken_text(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="two columns named 'text'; rename one"):
        parquet(tmp_path, pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["text", "text"]))
    broken = pa.array([b"ok", b"\xff"]).view(pa.string())
    with pytest.raises(UserError, match="row 2, column 'text'"):
        parquet(tmp_path, pa.table({"text": broken}))


def test_text_files_are_read_as_passages_of_documents(tmp_path: Path) -> None:
    documents = read(tmp_path, "a.txt", "One.\nTwo.\n")
    assert [row["text"] for row in documents] == ["One.", "Two."]
    word, many = "soup ", 200_000
    passages = read(tmp_path, "b.txt", word * many + "\n")
    assert sum(row["text"].count("soup") for row in passages) == many
    assert max(len(row["text"]) for row in passages) <= 4000


def test_whole_numbers_that_a_table_stores_as_fractions_are_whole(tmp_path: Path) -> None:
    call = pa.array([{"n": 3.0, "share": 0.5}, {"n": None, "share": 1.0}])
    table = pa.table({"answer": [4.0, None], "price": [4.0, 2.5], "call": call, "gap": [float("nan"), 1e300]})
    expected = [
        {"answer": 4, "price": 4.0, "call": {"n": 3, "share": 0.5}, "gap": float("nan")},
        {"answer": None, "price": 2.5, "call": {"share": 1}, "gap": 1e300},
    ]
    assert repr(parquet(tmp_path, table)) == repr(expected)
    with pa.OSFile(str(tmp_path / "rows.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as file:
        file.write_table(table, max_chunksize=1)
    assert repr(list(rows_of(tmp_path / "rows.arrow"))) == repr(expected)


def test_empty_columns_at_the_right_of_a_spreadsheet_are_passed_over(tmp_path: Path) -> None:
    assert read(tmp_path, "a.csv", "question,answer,,\nq,a,,\nr,b\n") == [
        {"question": "q", "answer": "a"},
        {"question": "r", "answer": "b"},
    ]


def test_several_arrays_in_one_file_are_rows_and_no_conversations(tmp_path: Path) -> None:
    assert read(tmp_path, "a.jsonl", f"{json.dumps(ROWS)}\n{json.dumps(ROWS)}\n") == ROWS * 2
    assert read(tmp_path, "a.json", json.dumps([ROWS, ROWS])) == [{"messages": ROWS}] * 2


@pytest.mark.parametrize(
    "content",
    [
        "The cat sat on the mat\nA dog ran away today\nBirds fly south in winter\n",
        "hello there\ngood morning\nsee you later\n",
        "apple\nbanana\ncherry\n",
        "今天天气很好我们去公园\n他每天早上喝一杯咖啡\n我喜欢看书和听音乐\n",
    ],
)
def test_a_first_line_like_those_below_it_is_not_taken_as_the_name_of_the_only_column(
    tmp_path: Path, content: str
) -> None:
    said = refusal(tmp_path, "rows.csv", content)
    assert "line 1 (" in said and "looks like a row" in said and "put a line above it that says text" in said
    assert len(read(tmp_path, "rows.csv", "text\n" + content)) == 3


@pytest.mark.parametrize("name", ["review", "tweet_text", "Customer review", "评论"])
def test_the_name_of_the_only_column_is_taken_as_one(tmp_path: Path, name: str) -> None:
    content = f"{name}\nThe food was great and I will come again soon.\nI did not like the service at all.\n"
    assert [list(row) for row in read(tmp_path, "rows.csv", content)] == [[name]] * 2


def test_tables_that_were_put_behind_each_other(tmp_path: Path) -> None:
    one = "\ufeffquestion,answer\n{0},b\n"
    content = one.format("x") + one.format("y") + one.format("z")
    path = tmp_path / "rows.csv"
    path.write_text(content, encoding="utf-8")
    reading = Reading()
    assert [row["question"] for row in rows_of(path, reading)] == ["x", "y", "z"]
    assert reading.notes == ["Line 3 of rows.csv repeats the header: such lines are left out."]


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json"])
def test_byte_order_marks_wherever_files_were_joined(tmp_path: Path, name: str) -> None:
    line = "\ufeff" + json.dumps(ROWS[0]) + "\n"
    assert read(tmp_path, name, ("\ufeff" + line + line).encode()) == [ROWS[0]] * 2
    pretty = "\ufeff" + json.dumps(ROWS[0], indent=1) + "\n"
    assert read(tmp_path, name, (pretty + pretty).encode()) == [ROWS[0]] * 2


def test_a_quote_that_swallows_lines_is_said(tmp_path: Path) -> None:
    path = tmp_path / "rows.tsv"
    path.write_text('question\tanswer\n"Tis 5 inch\tOK\nWhat is it\tfine\nMore "\tlast\nA\tB\n')
    reading = Reading()
    assert len(list(rows_of(path, reading))) == 2
    assert "ends at line 4 of rows.tsv holds lines with tabs in one field" in reading.notes[0]


TABLE = "question\tanswer\nHow many?\tThree.\nAnd now?\tTwo, or one.\n"


@pytest.mark.parametrize("name", ["rows.txt", "rows.md", "rows.jsonl", "rows.json"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_table_under_the_ending_of_another_format(tmp_path: Path, name: str, encoding: str) -> None:
    path = tmp_path / name
    path.write_bytes(TABLE.encode(encoding))
    reading = Reading()
    rows = list(rows_of(path, reading))
    assert rows == [{"question": "How many?", "answer": "Three."}, {"question": "And now?", "answer": "Two, or one."}]
    assert reading.notes == [f"{name} is read as a table: its first line names the columns."]


@pytest.mark.parametrize(
    "text", ["The question, the answer\nand more text, of course\n", "question, answer\n", "input\tonly\nx\ty\n"]
)
def test_text_with_commas_is_no_table(tmp_path: Path, text: str) -> None:
    assert [list(row) for row in read(tmp_path, "rows.txt", text)] == [["text"]] * text.count("\n")


def test_conversations_by_their_ids(tmp_path: Path) -> None:
    one, two = ([{"role": "user", "content": str(n)}, {"role": "assistant", "content": "a"}] for n in range(2))
    rows = read(tmp_path, "rows.json", json.dumps({"a1": one, "a2": two}, indent=1))
    assert rows == [{"messages": one}, {"messages": two}]
    pair = {"prompt": one[:1], "chosen": one[1:], "rejected": two[1:]}
    assert read(tmp_path, "pair.json", json.dumps(pair)) == [pair]


def test_only_line_ends_end_a_row(tmp_path: Path) -> None:
    odd = "a\u2028b\x0bc\x85d\x0ce"
    path = tmp_path / "rows.csv"
    path.write_bytes(f'question,answer\r\n"x\ry",{odd}\r\nz,{odd}\r\n'.encode())
    assert list(rows_of(path)) == [{"question": "x\ny", "answer": odd}, {"question": "z", "answer": odd}]
