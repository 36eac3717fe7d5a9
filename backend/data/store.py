"""Tokenised rows on disk: an Arrow file, mapped and not read; written in blocks to a temporary name, and renamed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from backend import paths, typed
from backend.data.chat.tokens import Ids, Mask
from backend.data.constants import constants
from backend.data.report import Counts

Offsets = npt.NDArray[np.int32]
ABANDONED_SECONDS = 24 * 3600.0
"""A draft older than this belongs to no living process."""
BLOCK, BLOCK_TOKENS = 8000, 4_000_000
"""Most rows and tokens that are laid end to end in memory at once, and written as one record batch."""
META, ROWS = "meta.json", "rows.arrow"
VERSION = 5
"""Part of every key: raise it when a change makes other tokens, masks or files of the same inputs."""


@dataclass(frozen=True)
class Block:
    """One record batch: row i is `[offsets[i]:offsets[i + 1]]` of `ids` and `scored`, views of the mapped file."""

    ids: Ids
    scored: Mask
    offsets: Offsets


@dataclass(frozen=True)
class Flat:
    """All rows of an entry, without a copy."""

    blocks: tuple[Block, ...]
    starts: tuple[int, ...]
    """The number of each block's first row."""
    meta: dict[str, Any]
    """What else belongs to them (JSON)."""
    arrays: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    """What belongs to each row, mapped like them."""

    def row(self, at: int) -> tuple[Ids, Mask]:
        """Row `at`, not negative: token ids (int32) and whether each is scored."""
        number = bisect_right(self.starts, at) - 1
        block = self.blocks[number]
        at -= self.starts[number]
        start, end = block.offsets[at], block.offsets[at + 1]
        return block.ids[start:end], block.scored[start:end]

    def lengths(self) -> Counts:
        """Tokens of each row."""
        return self._counts(lambda block: np.diff(block.offsets))

    def scored_counts(self) -> Counts:
        """Target tokens of each row."""
        return self._counts(
            lambda block: np.diff(np.concatenate(([0], np.cumsum(block.scored, dtype=np.int64)))[block.offsets])
        )

    def _counts(self, of: Callable[[Block], npt.NDArray[Any]]) -> Counts:
        return np.concatenate([np.zeros(0, np.int64), *map(of, self.blocks)])


class Kept(msgspec.Struct, frozen=True):
    """What META says."""

    rows: int
    arrays: list[str]
    meta: dict[str, Any]
    sha256: dict[str, str]
    """Hash of each other file and of `meta`: otherwise a flipped bit would be trained on."""


def folder() -> Path:
    """Where tokenised data is kept: `$FTTUI_HOME/cache`. It can be deleted at any time."""
    path = paths.home() / "cache"
    path.mkdir(mode=0o700, exist_ok=True)
    return path


def load(key: str) -> Flat | None:
    """What was saved under `key`, mapped into memory; None if nothing is, or if it is damaged."""
    path = folder() / key
    try:
        kept = typed.read_json(path / META, Kept)
        if {**_digests(path), META: _of_meta(kept.meta)} != kept.sha256:
            return None
        blocks = _mapped(path / ROWS)
        arrays = {name: np.load(path / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in kept.arrays}
        counts = [sum(len(block.offsets) - 1 for block in blocks), *map(len, arrays.values())]
        if any(count != kept.rows for count in counts):
            return None
        os.utime(path)  # when it was last used: the others are deleted first
    except (OSError, ValueError, LookupError, TypeError, AttributeError, EOFError):  # what is raised for damaged files
        return None
    starts = np.cumsum([0, *(len(block.offsets) - 1 for block in blocks)])[:-1]
    return Flat(tuple(blocks), tuple(starts.tolist()), kept.meta, arrays)


def save(key: str, ids: Sequence[Ids], scored: Sequence[Mask], meta: dict[str, Any]) -> Flat:
    """Save rows under `key` and give them back mapped. Two processes may do so at once."""
    with Writer(key) as writer:
        writer.add(ids, scored)
        return writer.finish(meta, {})


class Writer:
    """Saves rows under a key as they are made. Leaves nothing behind if it is not finished."""

    def __init__(self, key: str) -> None:
        import pyarrow as pa

        self._key = key
        self._folder = Path(tempfile.mkdtemp(prefix=f"{key}.", dir=folder()))
        self._schema = pa.schema({"ids": pa.list_(pa.int32()), "scored": pa.list_(pa.int8())})
        self._sink = (self._folder / ROWS).open("wb")
        self._file = pa.ipc.new_file(self._sink, self._schema)
        self._ids: list[Ids] = []
        self._scored: list[Mask] = []
        self._rows = self._tokens = 0

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(OSError):
            self._sink.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def add(self, ids: Sequence[Ids], scored: Sequence[Mask]) -> None:
        """More rows. Raises OSError if the disk is full."""
        for row, marks in zip(ids, scored, strict=True):
            self._ids.append(row)
            self._scored.append(marks)
            self._tokens += len(row)
            if len(self._ids) >= BLOCK or self._tokens >= BLOCK_TOKENS:
                self._write()

    def finish(self, meta: dict[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Flat:
        """Put what was added in its place, with an entry a row in each of `arrays`, and give it back mapped."""
        if self._ids:
            self._write()
        self._file.close()
        self._sink.close()
        for name, values in arrays.items():
            np.save(self._folder / f"{name}.npy", values, allow_pickle=False)
        meta = json.loads(_as_json(meta))
        kept = Kept(self._rows, list(arrays), meta, {**_digests(self._folder), META: _of_meta(meta)})
        (self._folder / META).write_bytes(msgspec.json.encode(kept))
        target = folder() / self._key
        try:
            if target.exists() and load(self._key) is None:
                shutil.rmtree(target)
            self._folder.replace(target)
        except OSError:
            if (flat := load(self._key)) is None:  # unless another process saved the same first
                raise
            return flat
        flat = load(self._key)
        assert flat is not None
        _prune(constants().cache_bytes, keep=target)
        return flat

    def _write(self) -> None:
        """Write one record batch. `scored` is a byte a token: Arrow packs booleans into bits, unlike numpy's arrays."""
        import pyarrow as pa

        ids, scored = self._ids, self._scored
        self._ids, self._scored, self._tokens = [], [], 0
        offsets = pa.array(np.cumsum([0, *map(len, ids)]), pa.int32())
        columns = (np.concatenate(ids), np.concatenate(scored).view(np.int8))
        lists = [pa.ListArray.from_arrays(offsets, pa.array(column)) for column in columns]
        self._file.write_batch(pa.RecordBatch.from_arrays(lists, schema=self._schema))
        self._rows += len(ids)


def _mapped(path: Path) -> list[Block]:
    """The record batches of a saved file. Raises ValueError and its like if it is damaged."""
    import pyarrow as pa

    blocks = []
    reader = pa.ipc.open_file(pa.memory_map(str(path)))
    for number in range(reader.num_record_batches):
        batch = reader.get_batch(number)
        batch.validate(full=True)  # reads the rows' offsets, no token
        ids, scored = batch.column("ids"), batch.column("scored")
        if not ids.offsets.equals(scored.offsets):
            raise ValueError("ids and scored differ in length")
        blocks.append(Block(ids.values.to_numpy(), scored.values.to_numpy().view(np.bool_), ids.offsets.to_numpy()))
    return blocks


def _digests(path: Path) -> dict[str, str]:
    """SHA-256 of each file but META: about a second for a gigabyte, far below what tokenising it takes."""
    found = {}
    for file in sorted(path.iterdir()):
        if file.name != META:
            with file.open("rb") as content:
                found[file.name] = hashlib.file_digest(content, "sha256").hexdigest()
    return found


def _of_meta(meta: dict[str, Any]) -> str:
    return hashlib.sha256(_as_json(meta)).hexdigest()


def _as_json(meta: dict[str, Any]) -> bytes:
    """`meta` as JSON, with `?` for invalid characters, such as a lone surrogate in a row's refusal."""
    return json.dumps(meta, ensure_ascii=False).encode("utf-8", "replace")


def _prune(most: int, keep: Path) -> None:
    """Delete what was used least recently beyond `most` bytes, and what a killed process left half-written.

    A process that has an entry mapped goes on with it: Linux keeps deleted files until they are closed.
    """
    entries = sorted((path for path in folder().iterdir() if path != keep), key=_used, reverse=True)
    room = most - _bytes(keep)
    for path in entries:
        room -= _bytes(path)
        half_written = "." in path.name and time.time() - _used(path) > ABANDONED_SECONDS
        if room < 0 or half_written:
            shutil.rmtree(path, ignore_errors=True)


def _used(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # another process has deleted it
        return 0.0


def _bytes(path: Path) -> int:
    try:
        return sum(file.stat().st_size for file in path.iterdir())
    except FileNotFoundError:
        return 0
