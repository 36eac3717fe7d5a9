"""Replace a small file atomically: a reader sees the old content or the new, never a part."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path


def write(path: Path, content: bytes | str, *, through_link: bool = False) -> None:
    """Write `content` (text as UTF-8) to a draft next to `path`, then rename it. Raises OSError (disk full).

    A symbolic link is replaced by a file. With `through_link` its target is replaced instead, for files that users
    keep elsewhere.
    """
    if through_link and path.is_symlink() and path.is_file():
        path = Path(os.path.realpath(path))
    # a name of its own: another process may be writing the same file
    draft = path.with_name(f"{path.name[:40]}.{os.getpid()}-{threading.get_native_id()}.new")
    try:
        draft.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
        draft.replace(path)
    except OSError:
        with suppress(OSError):
            draft.unlink()
        raise
