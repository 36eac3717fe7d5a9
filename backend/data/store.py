"""Tokenised rows on disk: Arrow through `datasets`, mapped and not read, written to a temporary name and renamed."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from backend import paths
from backend.data.constants import constants
from backend.data.report import Counts
from backend.data.tokens import Ids, Mask

Offsets = npt.NDArray[np.int32]
ABANDONED_SECONDS = 24 * 3600.0
"""A draft older than this belongs to no living process."""
BLOCK = 1000
"""Rows that are laid end to end in memory at once; as many as `datasets` writes in one record batch."""
META = "meta.json"
VERSION = 3
"""Part of every key: raise it when the same inputs come to be tokenised, masked or kept otherwise."""


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
        """Scored tokens of each row."""
        return self._counts(
            lambda block: np.diff(np.concatenate(([0], np.cumsum(block.scored, dtype=np.int64)))[block.offsets])
        )

    def _counts(self, of: Callable[[Block], npt.NDArray[Any]]) -> Counts:
        return np.concatenate([np.zeros(0, np.int64), *map(of, self.blocks)])


def folder() -> Path:
    """Where tokenised data is kept: `$FTTUI_HOME/cache`. It can be deleted at any time."""
    path = paths.home() / "cache"
    path.mkdir(mode=0o700, exist_ok=True)
    return path


def load(key: str) -> Flat | None:
    """What was saved under `key`, mapped into memory; None where nothing is, or it is damaged."""
    path = folder() / key
    try:
        kept = json.loads((path / META).read_text(encoding="utf-8"))
        blocks = _mapped(path)
        if sum(len(block.offsets) - 1 for block in blocks) != kept["rows"]:  # cut off between two record batches
            return None
        os.utime(path)  # when it was last used: the others are deleted first
        meta = kept["meta"]
    except (OSError, ValueError, LookupError, TypeError, AttributeError):  # what `datasets` makes of damaged files
        return None
    starts = np.cumsum([0, *(len(block.offsets) - 1 for block in blocks)])[:-1]
    return Flat(tuple(blocks), tuple(starts.tolist()), meta)


def save(key: str, ids: Sequence[Ids], scored: Sequence[Mask], meta: dict[str, Any]) -> Flat:
    """Save rows under `key` and give them back mapped. Two processes may do so at once."""
    target = folder() / key
    temporary = Path(tempfile.mkdtemp(prefix=f"{key}.", dir=folder()))
    try:
        _write(temporary, key, ids, scored)
        (temporary / META).write_text(json.dumps({"rows": len(ids), "meta": meta}), encoding="utf-8")
        if target.exists() and load(key) is None:
            shutil.rmtree(target)
        temporary.replace(target)
    except OSError:
        shutil.rmtree(temporary, ignore_errors=True)
        if (flat := load(key)) is None:  # unless another process saved the same first
            raise
        return flat
    flat = load(key)
    assert flat is not None
    _prune(constants().cache_bytes, keep=target)
    return flat


def _write(path: Path, key: str, ids: Sequence[Ids], scored: Sequence[Mask]) -> None:
    """As one Arrow file. `scored` is a byte a token: Arrow packs booleans into bits, which numpy can't view."""
    import datasets
    import pyarrow as pa

    datasets.disable_progress_bars()
    schema = pa.schema({"ids": pa.list_(pa.int32()), "scored": pa.list_(pa.int8())})
    batches = []
    for start in range(0, len(ids), BLOCK):
        some_ids, some_scored = ids[start : start + BLOCK], scored[start : start + BLOCK]
        offsets = pa.array(np.cumsum([0, *map(len, some_ids)]), pa.int32())
        columns = (np.concatenate(some_ids), np.concatenate(some_scored).view(np.int8))
        lists = [pa.ListArray.from_arrays(offsets, pa.array(column)) for column in columns]
        batches.append(pa.RecordBatch.from_arrays(lists, schema=schema))
    # With the fingerprint given, `datasets` does not hash every token to make one.
    datasets.Dataset(pa.Table.from_batches(batches, schema), fingerprint=key).save_to_disk(path, num_shards=1)


def _mapped(path: Path) -> list[Block]:
    """The record batches of a saved dataset. Raises ValueError and its like where the files are damaged."""
    import datasets

    dataset = datasets.load_from_disk(path, keep_in_memory=False)
    blocks = []
    for batch in dataset.data.to_batches():
        batch.validate(full=True)  # reads the rows' offsets, no token
        ids, scored = batch.column("ids"), batch.column("scored")
        if not ids.offsets.equals(scored.offsets):
            raise ValueError("ids and scored differ in length")
        blocks.append(Block(ids.values.to_numpy(), scored.values.to_numpy().view(np.bool_), ids.offsets.to_numpy()))
    return blocks


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
