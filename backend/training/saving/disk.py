"""A full disk, whatever a library calls it, as one error; and drafts that are gone where they could not be written."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backend import units

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NUMBER = re.compile(r"(?:os error |\[Errno )(\d+)")
"""As Rust (safetensors, tokenizers) and `shutil.Error` write the number of the system's error."""


class DiskFull(OSError):
    """There was no room. `str()` says what was needed and what is free, `fix` what to do."""

    def __init__(self, folder: Path, needed_bytes: int) -> None:
        free = shutil.disk_usage(folder).free
        self.needed_bytes = needed_bytes
        super().__init__(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
        self._said = f"{units.disk(needed_bytes)} are needed in {folder}, where {units.disk(free)} are free"
        lacking = needed_bytes - free
        self.fix = f"free {units.disk(lacking)}" if lacking > 0 else "free some space, or raise the quota"

    def __str__(self) -> str:
        return self._said


@contextmanager
def room(folder: Path, needed_bytes: int) -> Iterator[None]:
    """Write to `folder` within. Raises DiskFull where it fills up, and OSError for what else the system refuses."""
    try:
        yield
    except Exception as error:
        found = _of_the_system(error)
        if found is not None and found.errno in FULL:
            raise DiskFull(folder, needed_bytes) from error
        if found is None or found is error:
            raise
        raise found from error


@contextmanager
def draft(path: Path, needed_bytes: int) -> Iterator[None]:
    """Write into the new folder `path` within; it is gone where that fails. Raises as `room`."""
    shutil.rmtree(path, ignore_errors=True)
    with room(path.parent, needed_bytes):
        try:
            path.mkdir(mode=0o700, parents=True)
            yield
        except BaseException:
            shutil.rmtree(path, ignore_errors=True)
            raise


def _of_the_system(error: Exception) -> OSError | None:
    """The system's error that a library tells in its own words; None where it is no such error.

    safetensors and tokenizers write its number in theirs; torch writes a position that is not as expected, and the
    error that its file had raised stands before it.
    """
    if isinstance(error, OSError) and error.errno:
        return error
    if "inline_container" in str(error) and isinstance(error.__context__, OSError):
        return error.__context__
    number = NUMBER.search(str(error))
    return OSError(int(number[1]), os.strerror(int(number[1]))) if number else None
