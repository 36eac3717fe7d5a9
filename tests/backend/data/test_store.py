from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from backend.data import store
from backend.data.chat.tokens import Ids, Mask

ROOT = Path(__file__).parents[3]
ROWS = 2 * store.BLOCK + 300
"""Three record batches; the last one is short."""


@pytest.fixture
def rows() -> tuple[list[Ids], list[Mask]]:
    random = np.random.default_rng(0)
    ids = [random.integers(0, 50_000, random.integers(1, 60)).astype(np.int32) for _ in range(ROWS)]
    return ids, [random.integers(0, 2, len(row)).astype(np.bool_) for row in ids]


def is_same(flat: store.Flat, rows: tuple[list[Ids], list[Mask]]) -> bool:
    kept = [flat.row(at) for at in range(len(flat.lengths()))]
    pairs = list(zip(*rows, strict=True))
    return len(kept) == len(pairs) and all(
        np.array_equal(a, x) and np.array_equal(b, y) for (a, b), (x, y) in zip(kept, pairs, strict=True)
    )


def save(rows: tuple[list[Ids], list[Mask]]) -> store.Flat:
    with store.Writer("key") as writer:
        for start in range(0, ROWS, 700):
            writer.add(rows[0][start : start + 700], rows[1][start : start + 700])
        return writer.finish({}, {"numbers": np.arange(ROWS)})


def test_rows_of_several_batches_come_back_mapped(fttui_home: Path, rows: tuple[list[Ids], list[Mask]]) -> None:
    saved = store.save("key", *rows, {"a": 1})
    flat = store.load("key")
    assert flat is not None
    assert saved.meta == flat.meta == {"a": 1}
    assert len(flat.blocks) == 3
    assert f"{fttui_home / 'cache' / 'key'}/rows.arrow" in Path("/proc/self/maps").read_text()
    assert is_same(flat, rows)
    ids, scored = flat.row(store.BLOCK)
    assert ids.dtype == np.int32
    assert scored.dtype == np.bool_
    for view, block in ((ids, flat.blocks[1].ids), (scored, flat.blocks[1].scored)):
        assert np.shares_memory(view, block), "a row is a view"
        assert not view.flags.writeable, "of a file that is mapped to read"
    assert flat.lengths().tolist() == [len(row) for row in rows[0]]
    assert flat.scored_counts().tolist() == [int(row.sum()) for row in rows[1]]


def test_rows_come_in_any_portion_and_arrays_with_them(rows: tuple[list[Ids], list[Mask]]) -> None:
    flat = save(rows)
    assert is_same(flat, rows)
    assert flat.arrays["numbers"].tolist() == list(range(ROWS))
    assert isinstance(flat.arrays["numbers"], np.memmap)


def test_what_is_not_finished_leaves_nothing(fttui_home: Path, rows: tuple[list[Ids], list[Mask]]) -> None:
    with pytest.raises(KeyError), store.Writer("key") as writer:
        writer.add(*rows)
        raise KeyError
    assert list((fttui_home / "cache").iterdir()) == []


def test_no_rows_at_all() -> None:
    flat = store.save("key", [], [], {"refused": 3})
    assert flat.meta == {"refused": 3}
    assert len(flat.lengths()) == len(flat.scored_counts()) == 0


def test_nothing_is_there() -> None:
    assert store.load("unknown") is None


def test_what_is_damaged_is_a_miss_and_is_written_anew(fttui_home: Path, rows: tuple[list[Ids], list[Mask]]) -> None:
    save(rows)
    files = sorted((fttui_home / "cache" / "key").iterdir())
    assert [file.name for file in files] == ["meta.json", "numbers.npy", "rows.arrow"]
    for file in files:
        whole = file.read_bytes()
        cuts = [whole[: len(whole) * part // 10] for part in range(10)]
        for damage in (*cuts, b"damaged", b"null", b"[]", b"3", bytes(len(whole))):
            file.unlink()  # a new file: the old one is mapped
            file.write_bytes(damage)
            assert store.load("key") is None, (file.name, damage[:20])
        file.unlink()
        assert store.load("key") is None, f"without {file.name}"
        assert is_same(save(rows), rows)


def test_a_file_cut_between_two_batches_is_a_miss(fttui_home: Path, rows: tuple[list[Ids], list[Mask]]) -> None:
    """Arrow can't tell a cut stream from a complete one: only the number of rows shows it."""
    store.save("key", *rows, {})
    store.save("fewer", rows[0][: store.BLOCK], rows[1][: store.BLOCK], {})
    whole, fewer = (next((fttui_home / "cache" / key).glob("*.arrow")) for key in ("key", "fewer"))
    whole.unlink()
    whole.write_bytes(fewer.read_bytes())
    assert store.load("key") is None


def test_offsets_that_lead_astray_are_a_miss(fttui_home: Path, rows: tuple[list[Ids], list[Mask]]) -> None:
    flat = store.save("key", *rows, {})
    (file,) = (fttui_home / "cache" / "key").glob("*.arrow")
    right = flat.blocks[1].offsets.tobytes()
    whole = file.read_bytes()
    assert whole.count(right) == 2, "of ids and of scored"
    file.unlink()
    file.write_bytes(whole.replace(right, right[:400] + b"\x77" * 4 + right[404:]))
    assert store.load("key") is None


def test_a_full_disk_is_an_error_and_leaves_nothing(fttui_home: Path, rows: tuple[list[Ids], list[Mask]]) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))  # in the middle of the second batch
    try:
        with pytest.raises(OSError):
            store.save("key", *rows, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list((fttui_home / "cache").iterdir()) == []


SAVE = """
import socket
def refuse(*given, **named): raise AssertionError("the network")
socket.socket.connect = socket.getaddrinfo = refuse
import numpy as np
from backend.data import store
for number in range(20):
    flat = store.save(f"k{number}", [np.arange(9, dtype=np.int32)] * 1500, [np.ones(9, np.bool_)] * 1500, {"n": number})
    assert flat.meta == {"n": number} and flat.row(1499)[0].tolist() == list(range(9))
"""


def test_processes_save_at_once_in_silence(fttui_home: Path, tmp_path: Path) -> None:
    """Nothing on the terminal, the network or in `~/.cache`."""
    user = tmp_path / "user"
    user.mkdir()
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "XDG_"))}
    environment |= {"HOME": str(user), "FTTUI_HOME": str(fttui_home), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", SAVE]
    children = [
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for _ in range(2)
    ]
    said = [child.communicate(timeout=60)[0] for child in children]
    assert [(child.returncode, text) for child, text in zip(children, said, strict=True)] == [(0, b"")] * 2
    assert list(user.iterdir()) == []
    assert sorted(path.name for path in (fttui_home / "cache").iterdir()) == sorted(f"k{n}" for n in range(20))


def test_the_cache_keeps_what_was_used_last(fttui_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def save(key: str) -> store.Flat:
        return store.save(key, [np.arange(1000, dtype=np.int32)], [np.ones(1000, np.bool_)], {})

    def aged(name: str, seconds: float) -> None:
        then = time.time() - seconds
        os.utime(fttui_home / "cache" / name, (then, then))

    for age, key in enumerate(("a", "b", "c")):
        save(key)
        aged(key, 100 - age)
    for name, unused in (("x.killed", 2 * store.ABANDONED_SECONDS), ("y.young", 5.0)):
        (fttui_home / "cache" / name).mkdir()
        aged(name, unused)
    mapped = store.load("a")  # the oldest, and now the youngest
    assert mapped is not None
    size = sum(file.stat().st_size for file in (fttui_home / "cache" / "a").iterdir())
    monkeypatch.setattr(store, "constants", lambda: SimpleNamespace(cache_bytes=3 * size + 10))
    save("d")
    assert sorted(path.name for path in (fttui_home / "cache").iterdir()) == ["a", "c", "d", "y.young"]
    monkeypatch.setattr(store, "constants", lambda: SimpleNamespace(cache_bytes=10))
    save("e")  # larger than the whole limit, but needed now
    assert [path.name for path in (fttui_home / "cache").iterdir() if "." not in path.name] == ["e"]
    assert mapped.row(0)[0][-1] == 999, "what a process has mapped stays readable"


def test_a_flipped_bit_is_a_miss() -> None:
    """If it were mapped unchecked, the damaged row would be trained on."""
    ids, scored = np.arange(5, dtype=np.int32), np.ones(5, dtype=np.bool_)
    store.save("key", [ids], [scored], {"truncated": 1})
    file = store.folder() / "key" / store.ROWS
    content = bytearray(file.read_bytes())
    at = content.index(ids.tobytes())
    content[at] ^= 1
    file.write_bytes(content)
    assert store.load("key") is None
    content[at] ^= 1
    file.write_bytes(content)
    assert store.load("key") is not None


def test_a_changed_count_is_a_miss_too() -> None:
    store.save("key", [np.arange(5, dtype=np.int32)], [np.ones(5, dtype=np.bool_)], {"truncated": 1})
    file = store.folder() / "key" / store.META
    file.write_text(file.read_text().replace('"truncated":1', '"truncated":2'))
    assert store.load("key") is None
