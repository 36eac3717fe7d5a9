"""What the planner knows of a model: its shape, and where its weights, tokenizer and chat template are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from backend.model.adapter import Adapter
from backend.model.shape import ModelShape


@dataclass(frozen=True)
class ModelInfo:
    """A model as found, not yet loaded."""

    reference: str
    """What the user typed: a folder, a hub id, `demo` or a size."""
    kind: Literal["folder", "hub", "demo", "size"]
    shape: ModelShape
    folder: Path | None
    """The local folder (also a hub cache's snapshot, or the converted demo); None if nothing is here yet."""
    has_weights: bool
    """Whether loadable weights are on this box."""
    weight_bytes: int
    """Bytes of the weights as stored (or that the download will bring)."""
    download_bytes: int
    """Bytes that must be fetched before training: 0 if the weights are here."""
    tokenizer_file: Path | None
    """`tokenizer.json`, for counting tokens without transformers; None if there is none."""
    hub_id: str | None = None
    """Where the weights are fetched from when `folder` is None; None for a size."""
    adapter: Adapter | None = None
    """What training starts from."""
    added_tokens: tuple[str, ...] = ()
    """Tokens that its own tokenizer lacks."""
    packages: Mapping[str, str] = field(default_factory=dict)
    """Packages that its family needs besides transformers: import name -> pip's name."""
    notes: tuple[str, ...] = ()
    """Sentences for the user: licence, a guess that was made, what is missing for training."""
