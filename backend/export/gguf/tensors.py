"""A model's tensors under llama.cpp's names, in its order of rotary pairs and its number types, one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor

from backend.errors import UserError
from backend.export.gguf.families import Config, Family
from backend.export.weights.stream import Update
from backend.model import headers

_LEFT_OUT = (".rotary_emb.inv_freq", ".self_attn.rotary_emb.inv_freq")


@dataclass(frozen=True)
class Entry:
    """A tensor of the model's files."""

    file: Path
    stored: str
    """Its name there."""
    name: str
    """Its name in the GGUF."""
    shape: tuple[int, ...]
    rotated_heads: int
    """Heads whose rows are reordered; 0 for none."""

    def load(self) -> Tensor:
        """The tensor in float32, reordered."""
        with safe_open(self.file, framework="pt") as tensors:
            found: Tensor = tensors.get_tensor(self.stored).float()
        return permuted(found, self.rotated_heads) if self.rotated_heads else found


def entries(folder: Path, config: Config, family: Family, names: Any) -> list[Entry]:
    """The tensors of a model folder; `names` is gguf's map of names. Raises UserError for one that has no name."""
    files = [(path, name, x) for path in headers.weight_files(folder) for name, x in headers.header(path).items()]
    tied = bool(config.get("tie_word_embeddings"))
    return [
        Entry(path, name, renamed(name, names), tuple(x["shape"]), rotated_heads(name, config, family))
        for path, name, x in files
        if not name.endswith(_LEFT_OUT) and not (tied and name == "lm_head.weight")
    ]


def renamed(name: str, names: Any) -> str:
    """llama.cpp's name of a tensor."""
    found = names.get_name(name, try_suffixes=(".weight", ".bias"))
    if found is None:
        raise UserError(f"the tensor {name} has no name in GGUF; use --to merged", "to")
    return str(found)


def rotated_heads(name: str, config: Config, family: Family) -> int:
    """Heads of a query or key matrix whose rows are reordered; 0 for every other tensor."""
    if not family.permutes:
        return 0
    queries = int(config["num_attention_heads"])
    if ".q_proj." in name:
        return queries
    return int(config.get("num_key_value_heads") or queries) if ".k_proj." in name else 0


def permuted(rows: Tensor, heads: int) -> Tensor:
    """Rows of each head reordered: the pair (i, i + half) becomes neighbours (2i, 2i + 1)."""
    return rows.view(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:]).transpose(1, 2).reshape(rows.shape)


def array(entry: Entry, quantise: Any, kind: Any) -> np.ndarray[Any, Any]:
    """The tensor as the file holds it. Raises UserError if a number does not fit into the type."""
    value = entry.load().contiguous().numpy()
    with np.errstate(over="ignore"):
        made: np.ndarray[Any, Any] = quantise(value, kind)
    if made.dtype == np.float16 and not np.isfinite(made).all():
        raise UserError(f"{entry.stored} has numbers too large for f16; use --dtype bf16", "dtype")
    return made


def adapter_arrays(
    updates: dict[str, Update], config: Config, family: Family, names: Any
) -> Iterator[tuple[str, np.ndarray[Any, Any]]]:
    """The two matrices of each adapted one, in float32: `...lora_a` (rank x inputs), `...lora_b` (outputs x rank)."""
    for name, update in updates.items():
        heads = rotated_heads(name, config, family)
        b = permuted(update.b.float(), heads) if heads else update.b.float()
        yield f"{renamed(name, names)}.lora_a", update.a.float().contiguous().numpy()
        yield f"{renamed(name, names)}.lora_b", b.contiguous().numpy()


def frequencies(values: list[float]) -> np.ndarray[Any, Any]:
    """Divisors of the rotary frequencies, as a tensor of the file."""
    return torch.tensor(values, dtype=torch.float32).numpy()
