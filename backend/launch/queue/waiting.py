"""The list of waiting runs: names of run folders, in order, in one file that a lock guards."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import msgspec

from backend import atomic, paths, typed
from backend.errors import UserError
from backend.run.folder import RunFolder
from backend.run.history import History
from backend.run.summary import Summary
from backend.run.summary import state_of as state_on_disk

_LONGEST_PLACE = 10
"""Digits; Python refuses to read thousands of them."""
QUEUED = "queued"
"""The state of a run that waits."""
_NOT_BEGUN = "interrupted"
"""The state of a waiting run by its folder alone: no process trains it, and its events have no end."""


def names() -> list[str]:
    """The waiting runs, the next one first. A damaged list is an empty one."""
    try:
        return typed.read_json(_file(), list[str])
    except typed.Damaged:
        return []


def state_of(folder: RunFolder, history: History) -> str:
    """The run's state as in `Summary.state`; `queued` if it waits."""
    state = state_on_disk(folder, history)
    return QUEUED if state == _NOT_BEGUN and folder.name in names() else state


def with_queued(summaries: Sequence[Summary]) -> list[Summary]:
    """The summaries, with the state `queued` for runs that wait."""
    known = set(names())
    return [replace(x, state=QUEUED) if x.state == _NOT_BEGUN and x.name in known else x for x in summaries]


def rename(before: str, after: str) -> None:
    """A waiting run has another name now; it keeps its place. Raises HomeUnusable."""
    if before in names():
        _changed(lambda known: [after if x == before else x for x in known])


def add(folder: RunFolder) -> int:
    """Put a run at the end; returns its place, from 1. Raises HomeUnusable."""
    return len(_changed(lambda known: [*(x for x in known if x != folder.name), folder.name]))


def remove(reference: str) -> str:
    """Take a run out of the list; returns its name. Raises UserError if it is not there."""
    name = find(reference)
    if not take(name):
        raise _gone(name)
    return name


def take(name: str) -> bool:
    """Take the run with exactly this name out of the list; False if it is not there, since another process took it."""
    with paths.kept_in(_file()), _locked():
        known = names()
        if name not in known:
            return False
        atomic.write(_file(), msgspec.json.encode([x for x in known if x != name]))
    return True


def leave(folder: RunFolder) -> None:
    """Take a run that is started by other means out of the list; a list that can't be written stays as it is."""
    if folder.name in names():
        with suppress(UserError):  # the worker sees that the run has begun
            take(folder.name)


def move(reference: str, place: int) -> list[str]:
    """Move a run to a place, from 1; returns the list. Raises UserError if it is not there, or for a wrong place."""
    name, known = find(reference), names()
    if not 1 <= place <= len(known):
        raise UserError(f"place {place} is not in the queue; it has {len(known)}", "place")

    def moved(known: list[str]) -> list[str]:
        if name not in known:
            raise _gone(name)
        rest = [x for x in known if x != name]
        return [*rest[: place - 1], name, *rest[place - 1 :]]

    return _changed(moved)


def find(reference: str) -> str:
    """The waiting run of this name, place or unique part of a name. Raises UserError if there is none, or several."""
    known = names()
    if reference in known:
        return reference
    if reference.isdecimal() and len(reference) < _LONGEST_PLACE and 1 <= int(reference) <= len(known):
        return known[int(reference) - 1]
    found = [x for x in known if reference in x]
    if len(found) != 1:
        what = f"fits {len(found)} waiting runs" if found else "is no waiting run"
        raise UserError(f"{reference!r} {what}; `fttui queue list` shows them", "run")
    return found[0]


def _gone(name: str) -> UserError:
    return UserError(f"run {name} has just left the queue: its turn came, or somebody took it out", "run")


def _changed(change: Callable[[list[str]], list[str]]) -> list[str]:
    with paths.kept_in(_file()), _locked():
        known = change(names())
        atomic.write(_file(), msgspec.json.encode(known))
    return known


@contextmanager
def _locked() -> Iterator[None]:
    fd = os.open(paths.home() / "queue.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _file() -> Path:
    return paths.home() / "queue.json"
