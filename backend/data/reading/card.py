"""What a data set's card, its README.md, says of its files: which of them belong to which split."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePath
from typing import Any

MOST_BYTES = 200_000
_FRONT = re.compile(r"\A---[ \t]*\n(.*?)\n---[ \t]*(?:\n|\Z)", re.DOTALL)


def splits(folder: Path) -> Mapping[str, Sequence[str]]:
    """Split -> patterns of its files; empty if there is no card, or if it says nothing or has several subsets."""
    made: dict[str, list[str]] = {}
    for entry in _files(folder):
        if isinstance(entry, Mapping) and isinstance(split := entry.get("split"), str):
            paths = entry.get("path")
            patterns = paths if isinstance(paths, list) else [paths]
            made.setdefault(split, []).extend(x for x in patterns if isinstance(x, str))
    return made


def _files(folder: Path) -> Sequence[Any]:
    """The `data_files` of the card's only subset (huggingface.co/docs/hub/datasets-manual-configuration)."""
    configs = _front_matter(folder).get("configs")
    only = configs[0] if isinstance(configs, list) and len(configs) == 1 else None
    files = only.get("data_files") if isinstance(only, Mapping) else None
    return files if isinstance(files, list) else []


def _front_matter(folder: Path) -> Mapping[Any, Any]:
    try:
        with (folder / "README.md").open(encoding="utf-8", errors="replace") as file:
            front = _FRONT.match(file.read(MOST_BYTES))
    except OSError:
        return {}
    if front is None:
        return {}
    import yaml

    try:
        said = yaml.safe_load(front.group(1))
    except (yaml.YAMLError, ValueError, RecursionError):  # ValueError: a date or a number that there is not
        return {}
    return said if isinstance(said, Mapping) else {}


def is_of(path: PurePath, patterns: Sequence[str]) -> bool:
    """Whether one of the patterns names the file."""
    return any(fnmatchcase(path.as_posix(), pattern.removeprefix("./")) for pattern in patterns)
