"""Completes a path that is being typed, as a shell does."""

from __future__ import annotations

import os
from itertools import islice
from typing import NamedTuple

from backend import paths

MOST_ENTRIES = 5000
"""Entries of a folder that are looked at: completing must not take long in a folder of a million files."""


class Completed(NamedTuple):
    """What is typed now, and every path that it can become, folders with a slash at their end."""

    text: str
    paths: tuple[str, ...]


def is_path(text: str) -> bool:
    """Whether `text` begins like a path."""
    return text.startswith(("/", "~", ".")) or "/" in text


def complete(text: str, *, folders_only: bool) -> Completed:
    """`text` as far as it is unambiguous; unchanged if nothing begins with it, or the folder can't be read."""
    head, _, start = text.rpartition("/")
    head += "/" if "/" in text else ""
    if text == "~":
        return Completed("~/", ("~/",))
    found = sorted(_entries(head, start, folders_only))
    if not found:
        return Completed(text, ())
    return Completed(head + _common(found), tuple(head + name for name in found))


def _common(names: list[str]) -> str:
    """What all of these sorted names begin with, letter by letter."""
    first, last = names[0], names[-1]
    same = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return first[:same]


def _entries(head: str, start: str, folders_only: bool) -> list[str]:
    """Names in the folder that begin with `start`; hidden ones only if it begins with a dot."""
    try:
        with os.scandir(paths.expanded(head or ".")) as entries:
            found = [
                entry.name + ("/" if entry.is_dir() else "")
                for entry in islice(entries, MOST_ENTRIES)
                if entry.name.startswith(start) and (start.startswith(".") or not entry.name.startswith("."))
            ]
    except (OSError, RuntimeError, ValueError):  # unreadable, gone, `~` of an unknown user, a NUL
        return []
    return [name for name in found if name.endswith("/") or not folders_only]
