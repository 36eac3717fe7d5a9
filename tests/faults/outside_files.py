"""Files that come from outside, and what reads each: data, a model's tokenizer, its template, its weights' header."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path

from backend import paths, presets
from backend.data.chat.tally import Tally
from backend.data.chat.tokenizer import TextTokenizer
from backend.data.chat.tokens import tokenize_all
from backend.data.conversation import Conversation, Message
from backend.data.formats import examples_of
from backend.data.reading.load import load
from backend.data.tokenizing import WHOLE
from backend.model import find
from tests.faults.own_files import Reader, home, said
from tests.tiny import CHATML, make_model

CHAT = Conversation((Message("user", "q"), Message("assistant", "a", scored=True)), row=1)
ROWS = b'{"prompt": "q", "completion": "a"}\n{"prompt": "r", "completion": "b", "n": 1.5}\n'
TURNS = b'{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a", "tool_calls": []}]}\n'
TABLE = b'prompt,completion\n"q, r",a\ns,"b ""c"""\n'


def model() -> Path:
    """A tiny model, made once in the home."""
    folder = paths.home() / "model"
    return folder if (folder / "config.json").is_file() else make_model(folder)


def of_model(name: str) -> Callable[[], Path]:
    return lambda: model() / name


def whole(name: str) -> Callable[[], bytes]:
    return lambda: (make_model(paths.home() / "whole") / name).read_bytes()


def rows(name: str) -> Callable[[], object]:
    """Reads the rows, makes examples of them, and goes through those."""

    def read() -> None:
        for _ in examples_of(load(str(home(name)())), ()):
            pass

    return said(read)


def tokenised() -> None:
    tokenize_all([CHAT], TextTokenizer.load(model()), WHOLE, Tally())


def data(name: str, good: bytes) -> Reader:
    return Reader(home(name), lambda: good, rows(name))


def _parquet() -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"prompt": ["q", "r"], "completion": ["a", "b"], "n": [1.0, 2.0]}), sink)
    return bytes(sink.getvalue())


def _header() -> bytes:
    header = json.dumps({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(8)


OUTSIDE = {
    "rows.jsonl": data("rows.jsonl", ROWS),
    "turns.jsonl": data("turns.jsonl", TURNS),
    "rows.json": data("rows.json", b"[" + ROWS.strip().replace(b"\n", b",") + b"]"),
    "rows.csv": data("rows.csv", TABLE),
    "rows.tsv": data("rows.tsv", TABLE.replace(b",", b"\t")),
    "rows.txt": data("rows.txt", b"First.\n\nSecond, and\nmore.\n"),
    "rows.parquet": Reader(home("rows.parquet"), _parquet, rows("rows.parquet")),
    "tokenizer.json": Reader(of_model("tokenizer.json"), whole("tokenizer.json"), said(tokenised)),
    "tokenizer_config.json": Reader(of_model("tokenizer_config.json"), whole("tokenizer_config.json"), said(tokenised)),
    "chat_template.jinja": Reader(of_model("chat_template.jinja"), CHATML.encode, said(tokenised)),
    "config.json": Reader(of_model("config.json"), whole("config.json"), said(lambda: find.find(str(model())))),
    "model.safetensors": Reader(of_model("model.safetensors"), _header, said(lambda: find.find(str(model())))),
    "a preset, used": Reader(
        lambda: paths.own_presets() / "own.toml",
        lambda: b'method = "lora"\nrank = 16\n[job]\nmodel = "8b"\n',
        said(lambda: presets.load("own")),
    ),
}
