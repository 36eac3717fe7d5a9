"""An export's folder: complete or absent, and never over existing files."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backend import units
from backend.errors import UserError


def refuse_occupied(out: Path) -> None:
    """Raise UserError if there is something at `out`; an empty folder is nothing."""
    if out.is_dir() and not any(out.iterdir()):
        return
    if out.exists() or out.is_symlink():
        raise UserError(f"{out} is there already; remove it, or name another folder with --out", "out")


def refuse_small_disk(out: Path, needed_bytes: int) -> None:
    """Raise UserError if the disk of `out` has less than `needed_bytes` free."""
    there = next(path for path in (out, *out.parents) if path.exists())
    free = shutil.disk_usage(there).free
    if free < needed_bytes:
        raise UserError(
            f"the export takes {units.disk(needed_bytes)}, and {units.disk(free)} are free in {there}: "
            f"free {units.disk(needed_bytes - free)}, or name a folder on another disk with --out",
            "out",
        )


@contextmanager
def whole(out: Path) -> Iterator[Path]:
    """A folder to write into, which replaces `out` if all went well and is removed if not.

    Raises UserError if the disk is full or the folder can't be written to.
    """
    draft: Path | None = None
    try:
        out.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{out.name[:100]}.", suffix=".writing", dir=out.parent))
        yield draft
        _sync(draft)
        if out.is_dir():
            out.rmdir()
        draft.rename(out)
    except OSError as error:
        raise UserError(f"the export can't be written to {out}: {error.strerror or error}", "out") from None
    finally:
        if draft is not None:
            shutil.rmtree(draft, ignore_errors=True)


def copy_or_link(source: Path, target: Path) -> None:
    """The same file under another name: a hard link, or a copy if the file system has none."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _sync(folder: Path) -> None:
    for path in [*folder.rglob("*"), folder]:
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
