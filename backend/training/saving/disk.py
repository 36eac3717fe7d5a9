"""A full disk as one error, whatever a library raises; and draft folders that are removed if writing fails."""

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
"""How messages of Rust libraries (safetensors, tokenizers) and of `shutil.Error` give the system's error number."""


class DiskFull(OSError):
    """There was not enough space. `str()` says what was needed and what is free, `fix` what to do."""

    def __init__(self, folder: Path, needed_bytes: int) -> None:
        free = shutil.disk_usage(folder).free
        self.needed_bytes = needed_bytes
        super().__init__(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
        self._text = f"{units.disk(needed_bytes)} are needed in {folder}, where {units.disk(free)} are free"
        lacking = needed_bytes - free
        self.fix = f"free {units.disk(lacking)}" if lacking > 0 else "free some space, or raise the quota"

    def __str__(self) -> str:
        return self._text


@contextmanager
def room(folder: Path, needed_bytes: int) -> Iterator[None]:
    """A context to write to `folder` in. Raises DiskFull if the disk is full, and OSError for the system's others."""
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
    """A context to fill the new folder `path` in, which is removed if that fails. Raises as `room` does."""
    shutil.rmtree(path, ignore_errors=True)
    with room(path.parent, needed_bytes):
        try:
            path.mkdir(mode=0o700, parents=True)
            yield
        except BaseException:
            shutil.rmtree(path, ignore_errors=True)
            raise


def _of_the_system(error: Exception) -> OSError | None:
    """The system's error behind a library's own; None if there is none.

    safetensors and tokenizers give its number in their message; torch complains about a file position, with the file's
    error as the context.
    """
    if isinstance(error, OSError) and error.errno:
        return error
    if "inline_container" in str(error) and isinstance(error.__context__, OSError):
        return error.__context__
    number = NUMBER.search(str(error))
    return OSError(int(number[1]), os.strerror(int(number[1]))) if number else None
