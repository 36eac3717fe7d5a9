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
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import msgspec

from backend import typed
from backend.errors import UserError

SINGLE: Final = "model.safetensors"
INDEX: Final = "model.safetensors.index.json"
_LONGEST_HEADER: Final = 100_000_000
"""The format's own limit."""
_BITS: Final = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 16),
    **dict.fromkeys(("U32", "I32", "F32"), 32),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 64),
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
}
"""Bits of an element by type; the library refuses a file with another type."""
_LFS_POINTER: Final = b"version https://git-lfs"

Header = Mapping[str, Mapping[str, Any]]
"""Tensor name -> dtype, shape, data_offsets."""


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
    for entry in tensors(folder).values():
        elements[entry["dtype"]] += math.prod(entry["shape"])
    return Weights(elements.total(), sum(path.stat().st_size for path in files), dict(elements), tuple(files))


def tensors(folder: Path) -> Header:
    """Every tensor of the model in `folder`, of all its files.

    Raises UserError if a part is missing or damaged, or two files hold the same tensor.
    """
    found: dict[str, Mapping[str, Any]] = {}
    for path in weight_files(folder):
        entries = header(path)
        twice = next((name for name in entries if name in found), None)
        if twice:
            raise UserError(
                f"{twice} is in several files of {folder}; which one counts is not said, so download the model again",
                "model",
            )
        found |= entries
    return found


def place(folder: Path, tensor: str) -> tuple[Path, int, int]:
    """The file that holds a tensor of the model, where its bytes begin there, and how many they are."""
    path = next(path for path in weight_files(folder) if tensor in header(path))
    start, end = header(path)[tensor]["data_offsets"]
    with path.open("rb") as file:
        return path, 8 + int(struct.unpack("<Q", file.read(8))[0]) + start, end - start


def refuse_inconsistent(folder: Path) -> None:
    """Raise UserError if a tensor's size does not match its type and shape, or the index has a tensor too many."""
    found = tensors(folder)
    for name, entry in found.items():
        start, end = entry["data_offsets"]
        if (end - start) * 8 != math.prod(entry["shape"]) * _BITS.get(entry["dtype"], 0):
            raise UserError(
                f"the files in {folder} are damaged: {name} has {end - start:,} bytes, which is not what "
                f"{entry['dtype']} of the shape {entry['shape']} takes; download the model again",
                "model",
            )
    _refuse_unkept_index(folder, found)


def weight_files(folder: Path) -> list[Path]:
    """The model's safetensors files: one, or the shards of an index. Raises UserError if a shard is missing."""
    if (folder / SINGLE).is_file():
        return [folder / SINGLE]
    if not (folder / INDEX).is_file():
        return []
    names = sorted(set(_weight_map(folder / INDEX).values()))
    for name in names:
        if Path(name).name != name or not (folder / name).is_file():
            raise UserError(f"{name} of {folder} is missing; download the model again", "model")
    return [folder / name for name in names]


def are_whole(folder: Path) -> bool:
    """Whether every safetensors file of the model is there; looks at names only."""
    try:
        return bool(weight_files(folder))
    except UserError:
        return False


def header(path: Path) -> Header:
    """The tensors of one file. Raises UserError if it is damaged, cut short, or no such file at all."""
    about = path.stat()
    return _header(path, about.st_size, about.st_mtime_ns)


@lru_cache(maxsize=256)
def _header(path: Path, size: int, _changed: int) -> Header:
    """As `header`; read once for each version of a file."""
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        raw = file.read(length) if 0 < length <= _LONGEST_HEADER else b""
    if size == 0:
        raise UserError(f"{path} is damaged (its header can't be read): it is empty; download it again", "model")
    if _LFS_POINTER.startswith(start):
        raise UserError(
            f"{path} is a pointer of Git LFS and not the weights; fetch them with `git lfs pull` in its folder", "model"
        )
    try:
        entries = typed.from_json(raw, dict[str, dict[str, Any]])
        entries.pop("__metadata__", None)
        end = 8 + length + _laid_out(entries)
    except (msgspec.DecodeError, KeyError, IndexError, TypeError, ValueError):
        raise UserError(f"{path} is damaged (its header can't be read); download it again", "model") from None
    if size < end:
        raise UserError(f"{path} is cut short: {size:,} of {end:,} bytes are there; download it again", "model")
    if size > end:
        raise UserError(f"{path} is damaged: {size - end:,} bytes follow its last tensor; download it again", "model")
    return entries


def _laid_out(entries: Header) -> int:
    """Bytes of all tensors. Raises ValueError, KeyError or TypeError unless they follow each other without a gap."""
    at = 0
    for start, end in sorted(_span(entry) for entry in entries.values()):
        if start != at or end < start:
            raise ValueError("tensors overlap, or leave a gap")
        at = end
    return at


def _span(entry: Mapping[str, Any]) -> tuple[int, int]:
    """Where a tensor's bytes are; its other fields are checked too."""
    if not isinstance(entry["dtype"], str) or any(int(size) < 0 for size in entry["shape"]):
        raise ValueError("no type, or no shape")
    start, end = entry["data_offsets"]
    return int(start), int(end)


def _refuse_unkept_index(folder: Path, found: Header) -> None:
    """Refuse an index with tensors that its shards don't hold: it belongs to another version of the model."""
    if (folder / SINGLE).is_file() or not (folder / INDEX).is_file():
        return
    if not isinstance(typed.read_json(folder / INDEX, dict[str, Any]).get("metadata"), Mapping):
        raise UserError(
            f'{INDEX} of {folder} has no "metadata", without which transformers does not load it; '
            'add "metadata": {} to it',
            "model",
        )
    missing = next((name for name in _weight_map(folder / INDEX) if name not in found), None)
    if missing:
        raise UserError(
            f"{INDEX} of {folder} names {missing}, which none of its files holds; download the model again", "model"
        )


def _weight_map(index: Path) -> dict[str, str]:
    try:
        return typed.convert(typed.read_json(index, dict[str, Any])["weight_map"], dict[str, str])
    except (typed.Damaged, KeyError):
        raise UserError(f"{index} is damaged; download the model again", "model") from None
