"""What is in safetensors files, from their headers alone: parameters, types, bytes. No torch, no tensor is read.

A file is 8 bytes (little-endian length n), n bytes of JSON (name -> dtype, shape, data_offsets), then the data:
https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import math
import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from backend import typed
from backend.errors import UserError

SINGLE: Final = "model.safetensors"
INDEX: Final = "model.safetensors.index.json"
_LONGEST_HEADER: Final = 100_000_000
"""The format's own limit."""


@dataclass(frozen=True)
class Weights:
    """The tensors of a model's files together."""

    parameters: int
    bytes: int
    """Size of the files, headers included."""
    dtypes: Mapping[str, int]
    """Elements by type (BF16, F32 ...)."""
    files: tuple[Path, ...]


def read(folder: Path) -> Weights | None:
    """The weights in `folder`; None if there are none. Raises UserError if a part is missing or damaged."""
    files = weight_files(folder)
    if not files:
        return None
    elements: Counter[str] = Counter()
    for path in files:
        for dtype, shape in _tensors(path):
            elements[dtype] += math.prod(shape)
    return Weights(elements.total(), sum(path.stat().st_size for path in files), dict(elements), tuple(files))


def weight_files(folder: Path) -> list[Path]:
    """The model's safetensors files: one, or the shards of an index. Raises UserError if a shard is missing."""
    if (folder / SINGLE).is_file():
        return [folder / SINGLE]
    if not (folder / INDEX).is_file():
        return []
    files = [folder / name for name in _shards(folder / INDEX)]
    for path in files:
        if not path.is_file():
            raise UserError(f"{path.name} of {folder} is missing; download the model again", "model")
    return files


def are_whole(folder: Path) -> bool:
    """Whether every safetensors file of the model is there; looks at names only."""
    try:
        return bool(weight_files(folder))
    except UserError:
        return False


def header(path: Path) -> dict[str, Any]:
    """Tensor name -> dtype, shape, data_offsets of one file. Raises UserError if it is damaged or cut short."""
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        raw = file.read(length) if 0 < length <= _LONGEST_HEADER else b""
    try:
        tensors = typed.from_json(raw, dict[str, dict[str, Any]])
        end = 8 + length + max((int(entry["data_offsets"][1]) for entry in _without_notes(tensors).values()), default=0)
    except (msgspec.DecodeError, KeyError, IndexError, TypeError, ValueError):
        raise _damaged(path) from None
    if path.stat().st_size < end:
        raise UserError(
            f"{path} is cut short: {path.stat().st_size:,} of {end:,} bytes are there; download it again", "model"
        )
    return _without_notes(tensors)


def _without_notes(tensors: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {name: entry for name, entry in tensors.items() if name != "__metadata__"}


def _tensors(path: Path) -> list[tuple[str, list[int]]]:
    tensors = header(path)
    try:
        return [(str(entry["dtype"]), [int(size) for size in entry["shape"]]) for entry in tensors.values()]
    except (KeyError, TypeError, ValueError):
        raise _damaged(path) from None


def _damaged(path: Path) -> UserError:
    return UserError(f"{path} is damaged (its header can't be read); download it again", "model")


def _shards(index: Path) -> list[str]:
    try:
        names = msgspec.json.decode(index.read_bytes())["weight_map"].values()
        return sorted({Path(name).name for name in names})
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
        raise UserError(f"{index} is damaged; download the model again", "model") from None
