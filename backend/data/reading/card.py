"""What a data set's card, its README.md, says of its files: which of them belong to which split."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePath

MOST_BYTES = 200_000
_FRONT = re.compile(r"\A---[ \t]*\n(.*?)\n---[ \t]*(?:\n|\Z)", re.DOTALL)
_CONFIGS = re.compile(r"^configs:[ \t]*\n((?:[ \t-].*(?:\n|\Z))*)", re.MULTILINE)
_LINE = re.compile(r"\s*(?P<item>-\s+)?(?:(?P<key>config_name|split|path):\s*)?(?P<value>.*)")


def splits(folder: Path) -> Mapping[str, Sequence[str]]:
    """Split -> patterns of its files; empty if there is no card, or if it says nothing or has several subsets."""
    try:
        with (folder / "README.md").open(encoding="utf-8", errors="replace") as file:
            front = _FRONT.match(file.read(MOST_BYTES))
    except OSError:
        return {}
    said = _CONFIGS.search(front.group(1)) if front else None
    if said is None or said.group(1).count("config_name:") > 1:
        return {}
    entries: list[dict[str, list[str]]] = []
    key = ""
    for line in said.group(1).splitlines():
        found = _LINE.fullmatch(line)
        if found is None:
            continue
        if found["key"] and found["item"]:
            entries.append({})
        key = found["key"] or (key if found["item"] else "")
        if entries and key and (value := found["value"].strip().strip("'\"")):
            entries[-1].setdefault(key, []).append(value)
    made: dict[str, list[str]] = {}
    for entry in entries:
        for split in entry.get("split", ()):
            made.setdefault(split, []).extend(entry.get("path", ()))
    return made


def is_of(path: PurePath, patterns: Sequence[str]) -> bool:
    """The file is one of those that the patterns name."""
    return any(fnmatchcase(path.as_posix(), pattern.removeprefix("./")) for pattern in patterns)
