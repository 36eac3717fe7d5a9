"""Rows for new tokens in a model's files: they begin as the mean of the others, which stay bit for bit as they are."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from backend.model import headers, token_tables
from backend.model.config import shape_from_config


def add(base: Path, ids: Sequence[int], target: Path) -> None:
    """Write the weights of `base` into `target` with rows for `ids`, and config.json with its new `vocab_size`.

    Files without such a weight are linked. Raises UserError if not all of the vocabulary's weights are known, OSError
    if the disk is full.
    """
    config = json.loads((base / "config.json").read_text(encoding="utf-8"))
    before = shape_from_config(config, base.name, has_files=True).vocab  # its family's default if it says none
    rows, changed = max(before, max(ids) + 1), token_tables.names(base, before)
    for path in headers.weight_files(base):
        if changed.isdisjoint(headers.header(path)):
            link_or_copy(path, target / path.name)
        else:
            _rewrite(path, changed, ids, rows, target / path.name)
    if not (base / headers.SINGLE).is_file():
        _write_index(base, target)
    _say_rows(config, before, rows)
    (target / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def link_or_copy(source: Path, target: Path) -> None:
    """The same file under another name: a hard link, or a copy if the file system has none."""
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)


def _rewrite(source: Path, changed: set[str], ids: Sequence[int], rows: int, target: Path) -> None:
    with safe_open(source, framework="pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no mapping)
    for name in changed & tensors.keys():
        tensors[name] = _grown(tensors[name], ids, rows)
    save_file(tensors, target, metadata=metadata)


def _grown(weight: Tensor, ids: Sequence[int], rows: int) -> Tensor:
    """`weight` with `rows` rows; those of `ids` are the mean of the tokens before them."""
    before = min(len(weight), min(ids))
    mean = weight[:before].float().mean(dim=0)
    grown = torch.cat([weight, mean.to(weight.dtype).expand(rows - len(weight), *weight.shape[1:])])
    grown[torch.tensor(list(ids))] = mean.to(weight.dtype)
    return grown.contiguous()


def _write_index(base: Path, target: Path) -> None:
    """The base's index with the new size."""
    index = json.loads((base / headers.INDEX).read_text(encoding="utf-8"))
    files = sorted(set(index["weight_map"].values()))
    entries = (entry for name in files for entry in headers.header(target / name).values())
    total = sum(entry["data_offsets"][1] - entry["data_offsets"][0] for entry in entries)
    index["metadata"] = {**(index.get("metadata") or {}), "total_size": total}
    (target / headers.INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def _say_rows(config: dict[str, Any], before: int, rows: int) -> None:
    """`vocab_size` of the configuration and of its text part."""
    text = config.get("text_config")
    if config.get("vocab_size", None if text else before) == before:
        config["vocab_size"] = rows
    if isinstance(text, dict) and text.get("vocab_size", before) == before:
        text["vocab_size"] = rows
