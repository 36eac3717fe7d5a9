"""The base model's predictions for the general text, on disk: full fine-tuning changes the base itself."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from backend.data.general import Part
from backend.training.forgetting.tokens import Kept
from backend.training.saving import disk

FILE = "general-base.safetensors"
Row = tuple[int, int]
"""Number of the part, and of the row in it."""


@dataclass(frozen=True)
class BaseRow:
    """What the base model predicts for the target tokens of one row, in host memory."""

    loss: Tensor
    kept: Kept


def fingerprint(parts: tuple[Part, ...]) -> str:
    """Changes with the tokens of the general text."""
    state = blake2b(digest_size=16)
    for part in parts:
        for ids, scored in part.rows:
            state.update(ids.tobytes() + scored.tobytes())
    return state.hexdigest()


def write(folder: Path, rows: dict[Row, BaseRow], parts: tuple[Part, ...]) -> None:
    """Keep `rows` in a run's folder. Raises DiskFull and OSError."""
    tensors = {}
    for (part, number), row in rows.items():
        tensors[f"{part}.{number}.loss"] = row.loss
        tensors[f"{part}.{number}.ids"] = row.kept.ids.to(torch.int32)
        tensors[f"{part}.{number}.log"] = row.kept.log_probabilities
    draft = folder / f".{FILE}"
    with disk.room(folder, sum(x.nbytes for x in tensors.values())):
        save_file({name: x.contiguous() for name, x in tensors.items()}, draft, {"general": fingerprint(parts)})
        draft.replace(folder / FILE)


def read(folder: Path, parts: tuple[Part, ...]) -> dict[Row, BaseRow] | None:
    """What `write` kept for the same general text; None if it is not there or damaged."""
    try:
        with safe_open(folder / FILE, "pt") as file:
            if (file.metadata() or {}).get("general") != fingerprint(parts):
                return None
            names = [(i, j) for i, part in enumerate(parts) for j in range(len(part.rows))]
            return {name: _row(file, *name) for name in names}
    except (OSError, SafetensorError):
        return None


def _row(file: Any, part: int, number: int) -> BaseRow:
    loss, ids, log = (file.get_tensor(f"{part}.{number}.{name}") for name in ("loss", "ids", "log"))
    return BaseRow(loss, Kept(ids.long(), log))
