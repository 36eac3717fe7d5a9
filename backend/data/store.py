"""Tokenised rows on disk: flat arrays that are mapped, not read, written to a temporary name and renamed."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from backend import paths
from backend.data.constants import constants
from backend.data.tokens import Ids, Mask

Offsets = npt.NDArray[np.int64]
ABANDONED_SECONDS = 24 * 3600.0
"""A draft older than this belongs to no living process."""
VERSION = 1
"""Part of every key: raise it when the same inputs come to be tokenised or masked otherwise."""


@dataclass(frozen=True)
class Flat:
    """Rows end to end: row i is `[offsets[i]:offsets[i + 1]]` of `ids` and `scored`."""

    ids: Ids
    scored: Mask
    offsets: Offsets
    meta: dict[str, Any]
    """What else belongs to them (JSON)."""


def folder() -> Path:
    """Where tokenised data is kept: `$FTTUI_HOME/cache`. It can be deleted at any time."""
    path = paths.home() / "cache"
    path.mkdir(mode=0o700, exist_ok=True)
    return path


def load(key: str) -> Flat | None:
    """What was saved under `key`, mapped into memory; None where nothing is, or it is damaged."""
    path = folder() / key
    try:
        meta = json.loads((path / "meta.json").read_text(encoding="utf-8"))
        ids, scored, offsets = (np.load(path / f"{name}.npy", mmap_mode="r") for name in ("ids", "scored", "offsets"))
        os.utime(path)  # when it was last used: the others are deleted first
    except (OSError, ValueError):
        return None
    return Flat(ids, scored, offsets, meta)


def save(key: str, ids: Sequence[Ids], scored: Sequence[Mask], meta: dict[str, Any]) -> Flat:
    """Save rows under `key` and give them back mapped. Two processes may do so at once."""
    target = folder() / key
    temporary = Path(tempfile.mkdtemp(prefix=f"{key}.", dir=folder()))
    try:
        lengths = np.fromiter((len(row) for row in ids), dtype=np.int64, count=len(ids))
        np.save(temporary / "ids.npy", np.concatenate(ids) if ids else np.zeros(0, np.int32))
        np.save(temporary / "scored.npy", np.concatenate(scored) if scored else np.zeros(0, np.bool_))
        np.save(temporary / "offsets.npy", np.concatenate(([0], np.cumsum(lengths))).astype(np.int64))
        (temporary / "meta.json").write_text(json.dumps(meta), encoding="utf-8")
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
