"""A model's tensors under llama.cpp's names, in its order of rotary pairs and its number types, one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from backend.errors import UserError
from backend.export.gguf.families import Config, Family
from backend.model import headers

if TYPE_CHECKING:
    from backend.training.merging.updates import LowRank

Array = np.ndarray[Any, Any]

_TYPES = {"F32": np.float32, "F16": np.float16, "BF16": np.uint16, "F64": np.float64}
HEAD, _EMBEDDING = "lm_head.weight", "model.embed_tokens.weight"
"""If a model's head is its embedding, its files may have the one matrix under either name."""
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

    def load(self) -> Array:
        """The tensor in float32, reordered. Read without torch: bfloat16 is the upper half of a float32."""
        header = headers.header(self.file)[self.stored]
        begin, end = header["data_offsets"]
        with self.file.open("rb") as file:
            file.seek(8 + int.from_bytes(file.read(8), "little") + begin)
            raw = np.frombuffer(file.read(end - begin), _TYPES[header["dtype"]])
        found = (raw.astype(np.uint32) << 16).view(np.float32) if header["dtype"] == "BF16" else raw.astype(np.float32)
        return permuted(found.reshape(self.shape), self.rotated_heads)


def entries(folder: Path, config: Config, family: Family, names: Any) -> list[Entry]:
    """The tensors of a model folder; `names` is gguf's map of names. Raises UserError for one that has no name."""
    files = [(path, name, x) for path in headers.weight_files(folder) for name, x in headers.header(path).items()]
    tied = bool(config.get("tie_word_embeddings"))
    has_embedding = any(name == _EMBEDDING for _, name, _ in files)
    return [
        Entry(
            path,
            name,
            renamed(_EMBEDDING if tied and name == HEAD else name, names),
            tuple(x["shape"]),
            rotated_heads(name, config, family),
        )
        for path, name, x in files
        if not name.endswith(_LEFT_OUT) and not (tied and has_embedding and name == HEAD)
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


def permuted(rows: Array, heads: int) -> Array:
    """Rows of each head reordered: the pair (i, i + half) becomes neighbours (2i, 2i + 1). As they are for 0 heads."""
    if not heads:
        return rows
    halves = rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:])
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(rows.shape))


def array(entry: Entry, quantise: Any, kind: Any) -> Array:
    """The tensor as the file holds it. Raises UserError if a number does not fit into the type."""
    with np.errstate(over="ignore"):
        made: Array = quantise(entry.load(), kind)
    if made.dtype == np.float16 and not np.isfinite(made).all():
        raise UserError(f"{entry.stored} has numbers too large for f16; use --dtype bf16", "dtype")
    return made


def adapter_arrays(
    updates: dict[str, LowRank], config: Config, family: Family, names: Any
) -> Iterator[tuple[str, Array]]:
    """The two matrices of each adapted one, in float32: `...lora_a` (rank x inputs), `...lora_b` (outputs x rank)."""
    for name, update in updates.items():
        b = permuted(update.b.float().numpy(), rotated_heads(name, config, family))
        yield f"{renamed(name, names)}.lora_a", update.a.float().contiguous().numpy()
        yield f"{renamed(name, names)}.lora_b", np.ascontiguousarray(b)
