from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from backend.errors import UserError
from backend.model import headers


def save(path: Path, *names: str) -> None:
    save_file({name: np.zeros((4, 8), np.float16) for name in names}, path, metadata={"format": "pt"})


def write_index(folder: Path, *shards: str) -> None:
    weight_map = {f"tensor{i}": shard for i, shard in enumerate(shards)}
    (folder / headers.INDEX).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


def refused(folder: Path) -> str:
    with pytest.raises(UserError) as caught:
        headers.read(folder)
    assert caught.value.field == "model"
    return str(caught.value)


def test_one_file(tmp_path: Path) -> None:
    path = tmp_path / headers.SINGLE
    save_file({"a": np.zeros((4, 8), np.float16), "b": np.zeros(3, np.float32)}, path)

    weights = headers.read(tmp_path)

    assert weights is not None
    assert (weights.parameters, weights.bytes) == (35, path.stat().st_size)
    assert weights.dtypes == {"F16": 32, "F32": 3}


def test_shards_of_an_index_count_together(tmp_path: Path) -> None:
    save(tmp_path / "model-00001-of-00002.safetensors", "a", "b")
    save(tmp_path / "model-00002-of-00002.safetensors", "c")
    write_index(tmp_path, "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")

    weights = headers.read(tmp_path)

    assert weights is not None
    assert weights.parameters == 96
    assert len(weights.files) == 2
    assert headers.are_whole(tmp_path)


def test_no_weights(tmp_path: Path) -> None:
    assert headers.read(tmp_path) is None
    assert not headers.are_whole(tmp_path)


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    save(tmp_path / "model-00001-of-00002.safetensors", "a")
    write_index(tmp_path, "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")

    assert "model-00002-of-00002.safetensors" in refused(tmp_path)
    assert not headers.are_whole(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", '{"weight_map": 3}'])
def test_a_damaged_index(tmp_path: Path, text: str) -> None:
    (tmp_path / headers.INDEX).write_text(text)

    assert "is damaged; download the model again" in refused(tmp_path)


def test_a_file_cut_short_says_how_much_is_there(tmp_path: Path) -> None:
    path = tmp_path / headers.SINGLE
    save(path, "a", "b")
    whole = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-10])

    assert f"cut short: {whole - 10:,} of {whole:,} bytes" in refused(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"abc",
        struct.pack("<Q", 2**62) + b"{}",
        struct.pack("<Q", 4) + b"nope",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 22) + b'{"a": {"dtype": "F32"}}'[:22],
        struct.pack("<Q", 47) + b'{"a": {"dtype": "F32", "data_offsets": [0, 0]}}',
    ],
)
def test_a_damaged_header(tmp_path: Path, content: bytes) -> None:
    (tmp_path / headers.SINGLE).write_bytes(content)

    assert "is damaged (its header can't be read)" in refused(tmp_path)
