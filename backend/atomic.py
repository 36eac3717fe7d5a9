"""Replace a small file in one step: a reader meets the old content or the new, never a half."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def write(path: Path, content: bytes | str) -> None:
    """Write `content` (text as UTF-8) to a draft next to `path`, then rename it. Raises OSError (disk full)."""
    draft = path.with_name(f"{path.name}.new")
    try:
        draft.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
        draft.replace(path)
    except OSError:
        with suppress(OSError):
            draft.unlink()
        raise
