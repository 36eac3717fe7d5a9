"""Weights that can't be trained, found before anything is loaded: from names and types in the files' headers."""

from __future__ import annotations

import hashlib
import re
import struct
from pathlib import Path

from backend.errors import UserError
from backend.model import headers

SAMPLES, SAMPLE_BYTES = 16, 1 << 16
TRAINABLE = {"BF16": "bfloat16", "F16": "float16", "F32": "float32", "F64": "float64"}
"""Types of weights as safetensors names them, and as torch does; anything else that is a weight is quantised."""
_PACKED = re.compile(
    r"(^|[._])(qweight|qzeros|g_idx|scales|blocks|weight_packed|weight_scale|weight_scale_inv|absmax|SCB)$"
)
"""Last names of quantised tensors: GPTQ and AWQ, compressed-tensors, FP8, MXFP4, bitsandbytes."""


def refuse_untrainable(folder: Path, name: str) -> None:
    """Raise UserError (field `model`) if the weights in `folder` are quantised."""
    for tensor, entry in headers.tensors(folder).items():
        if _is_quantised(tensor, kind := str(entry["dtype"])):
            raise UserError(
                f"{name} is quantised: its tensor {tensor} is {kind}, which can't be trained; "
                "give the 16-bit original, QLoRA makes 4 bits of it by itself",
                "model",
            )


def _is_quantised(tensor: str, kind: str) -> bool:
    if kind.startswith(("F8", "F4", "F6_")) or _PACKED.search(tensor):
        return True
    return kind not in TRAINABLE and tensor.endswith("weight")


def dtype(folder: Path) -> str:
    """The type of most weights in `folder`, as torch names it: what config.json says of it is not always true."""
    weights = headers.read(folder)
    found = {kind: count for kind, count in weights.dtypes.items() if kind in TRAINABLE} if weights else {}
    return TRAINABLE[max(found, key=lambda kind: found[kind])] if found else "float32"


def differ(folder: Path, one: str, other: str) -> bool:
    """Whether two tensors are of another size or type, or hold other values by a sample of SAMPLES blocks of each."""
    (first, at, size), (second, start, length) = (headers.place(folder, name) for name in (one, other))
    if size != length:
        return True
    with first.open("rb") as left, second.open("rb") as right:
        for step in (max(0, size - SAMPLE_BYTES) * x // (SAMPLES - 1) for x in range(SAMPLES)):
            left.seek(at + step)
            right.seek(start + step)
            count = min(SAMPLE_BYTES, size - step)
            if left.read(count) != right.read(count):
                return True
    return False


def fingerprint(folder: Path) -> str:
    """A hash that changes if the weights in `folder` are replaced: of all headers, sizes and a sample of the values.

    Reads at most SAMPLES blocks of SAMPLE_BYTES of each file, whatever its size.
    """
    found = hashlib.blake2b(digest_size=16)
    for path in headers.weight_files(folder):
        size = path.stat().st_size
        found.update(f"{path.name} {size}\n".encode())
        with path.open("rb") as file:
            found.update(file.read(struct.unpack("<Q", file.read(8))[0]))
            for at in range(SAMPLES):
                file.seek(max(0, size - SAMPLE_BYTES) * at // (SAMPLES - 1))
                found.update(file.read(SAMPLE_BYTES))
    return found.hexdigest()
