"""Merge tensor by tensor: the base's files are copied, and what an adapter changes is overwritten in place.

Memory is a few times the largest matrix, whatever the model's size.
"""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from backend.model import headers
from backend.model.config import shape_from_config
from backend.training.merging.updates import Update, Whole

FLOATS = ("F32", "BF16", "F16")
HEAD = "lm_head.weight"


def placed(base: Path, found: Mapping[str, Update]) -> dict[str, Update] | None:
    """The updates by the names of the base's files; None if one has no weight of its shape there.

    If the head shares its matrix with the embedding, the files hold one copy or two equal ones.
    """
    stored = {
        name: tuple(entry["shape"])
        for path in headers.weight_files(base)
        for name, entry in headers.header(path).items()
        if entry["dtype"] in FLOATS
    }
    known = dict(found)
    if _is_tied(base, stored):
        head = known.pop(HEAD, None)
        embedding = next((known[x] for x in known if len(stored.get(x, ())) == 2 and not _in_a_block(x)), None)
        if head is not None and not _same(head, embedding):
            return None  # it needs a matrix of its own
        if embedding is not None and HEAD in stored:
            known[HEAD] = embedding
    return known if all(name in stored and x.fits(stored[name]) for name, x in known.items()) else None


def _is_tied(base: Path, stored: Mapping[str, Any]) -> bool:
    """By its family's default if config.json does not say it."""
    config = json.loads((base / "config.json").read_text(encoding="utf-8"))
    return HEAD not in stored or shape_from_config(config, base.name, has_files=True).tied


def _in_a_block(name: str) -> bool:
    return any(part.isdigit() for part in name.split("."))


def _same(one: Update | None, other: Update | None) -> bool:
    return isinstance(one, Whole) and isinstance(other, Whole) and torch.equal(one.value, other.value)


def merge(
    base: Path,
    found: Mapping[str, Update],
    target: Path,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Write the merged weights into `target`: the files of the base, and their index if there are several.

    `tell` gets how many matrices are merged and how many there are. Raises OSError if the disk is full.
    """
    done = 0
    for path in headers.weight_files(base):
        shutil.copyfile(path, target / path.name)
        for _ in _overwritten(path, found, target / path.name):
            done += 1
            tell(done, len(found))
    if not (base / headers.SINGLE).is_file():
        shutil.copyfile(base / headers.INDEX, target / headers.INDEX)


def _overwritten(source: Path, found: Mapping[str, Update], target: Path) -> Iterator[str]:
    """Merge one matrix of a file after the other; the name of each that is written."""
    entries = headers.header(source)
    with source.open("rb") as file:
        start = 8 + int(struct.unpack("<Q", file.read(8))[0])
    with safe_open(source, framework="pt") as tensors, target.open("r+b") as out:
        for name in entries:
            if name in found:
                merged = found[name].merged(tensors.get_tensor(name))
                out.seek(start + entries[name]["data_offsets"][0])
                out.write(merged.contiguous().view(torch.uint8).numpy().data)
                yield name
