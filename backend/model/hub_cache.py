"""The Hugging Face cache on this box, read as plain folders: no import, no network.

Layout: `models--ORG--NAME/refs/main` holds a commit, `models--ORG--NAME/snapshots/COMMIT/` its files
(https://huggingface.co/docs/huggingface_hub/guides/manage-cache).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from backend import paths


def root() -> Path:
    """The cache's folder, by the environment variables that huggingface_hub obeys. It may not exist."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if os.environ.get(name):
            return paths.expanded(os.environ[name])
    caches = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    return paths.expanded(os.environ.get("HF_HOME") or caches / "huggingface") / "hub"


def snapshot(hub_id: str) -> Path | None:
    """The folder of the version that `main` was at the last download; None if there is none with a config.json."""
    folder = root() / f"models--{hub_id.replace('/', '--')}"
    try:
        commit = (folder / "refs" / "main").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    path = folder / "snapshots" / commit
    return path if commit and (path / "config.json").is_file() else None


def name_of(folder: Path) -> str:
    """The model's name without its owner if `folder` is a snapshot in a cache, else empty: its own is a commit's."""
    repository = folder.parent.parent.name
    is_snapshot = folder.parent.name == "snapshots" and repository.startswith("models--")
    return repository.rpartition("--")[2] if is_snapshot else ""


def hub_ids() -> Iterator[str]:
    """Every model that has a folder in the cache, the newest first."""
    try:
        folders = [path for path in root().iterdir() if path.name.startswith("models--") and path.is_dir()]
        folders.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    except OSError:
        return
    for path in folders:
        yield path.name.removeprefix("models--").replace("--", "/", 1)
