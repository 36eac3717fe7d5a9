"""Files near the user that look like data, to be offered first."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from backend.data.reading.readers import suffix
from backend.data.reading.selection import looks_like_data

MOST = 20
DEPTH = 2
"""Folders below the given one that are looked into."""
ENTRIES = 3000
"""The search ends after this many directory entries, so that the user does not notice it."""
SKIPPED = {"node_modules", "__pycache__", "site-packages", "venv", "env", "build", "dist", "target", "checkpoints"}


def candidates(folder: Path) -> list[Path]:
    """At most 20 files under `folder` that look like data: tables before plain text, near before deep, by name.

    Hidden folders, installed packages and model folders are skipped; only names are read, and the first characters of
    .json files.
    """
    found = [(depth, path) for depth, path in _walk(folder) if looks_like_data(path) and _holds_rows(path)]
    text = [suffix(path) in (".txt", ".md") for _, path in found]
    order = sorted(zip(text, found, strict=True), key=lambda item: (item[0], item[1][0], str(item[1][1]).lower()))
    return [path for _, (_, path) in order][:MOST]


def _walk(folder: Path) -> Iterator[tuple[int, Path]]:
    seen = 0
    queue = [(0, folder)]
    while queue and seen < ENTRIES:
        depth, current = queue.pop(0)
        try:
            with os.scandir(current) as entries:
                listed = sorted(entries, key=lambda entry: entry.name)[: ENTRIES - seen]
        except OSError:  # a folder that may not be read holds nothing to offer
            continue
        seen += len(listed)
        if depth and any(entry.name == "config.json" for entry in listed):
            continue
        for entry in listed:
            if entry.name.startswith(".") or entry.name != entry.name.encode("utf-8", "replace").decode():
                continue  # hidden, or a name that is not UTF-8, which no plan can hold
            try:
                is_file, is_folder = entry.is_file(), entry.is_dir(follow_symlinks=False)
            except OSError:  # a link to itself, or into a closed folder
                continue
            if is_file:
                yield depth, Path(entry.path)
            elif is_folder and depth < DEPTH and entry.name not in SKIPPED:
                queue.append((depth + 1, Path(entry.path)))


def _holds_rows(path: Path) -> bool:
    """Not empty; a .json file begins as a list, or as an object that is large enough to hold rows."""
    try:
        if path.stat().st_size == 0:
            return False
        if suffix(path) != ".json" or path.suffix == ".gz":
            return suffix(path) != ".md" or path.stat().st_size > 2000
        with path.open("rb") as file:
            start = file.read(64).lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n\0")
    except OSError:
        return False
    return start.startswith(b"[") or (start.startswith(b"{") and path.stat().st_size > 4000)
