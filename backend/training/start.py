"""What training starts from besides the base model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Start:
    """An earlier adapter, and tokens that are new."""

    token_ids: tuple[int, ...] = ()
    """Rows of the embedding that were added for new tokens."""
    adapter: Path | None = None
    """Folder of the adapter that is trained further."""


NOTHING = Start()
