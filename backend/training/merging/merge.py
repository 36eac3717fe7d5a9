"""Merge an adapter into its base: tensor by tensor if the base's files have all its weights, else in memory."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from backend.training import older_names
from backend.training.merging import stream, updates, whole
from backend.training.merging.updates import Update


def streamed(base: Path, adapter: Path) -> dict[str, Update] | None:
    """The updates to merge tensor by tensor; None if the whole model has to be in memory to merge them."""
    found = updates.of(adapter)
    return None if found is None else stream.placed(base, found)


def write(
    base: Path,
    adapter: Path,
    found: dict[str, Update] | None,
    target: Path,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Write weights and config.json of the merged model into `target`; `found` is the result of `streamed`.

    `tell` gets how many matrices are merged and how many there are, if they are merged one by one.
    """
    if found is None:
        whole.merge(base, adapter, target)
    else:
        stream.merge(base, found, target, tell)
        shutil.copyfile(base / "config.json", target / "config.json")
    older_names.add(target, base)
