"""Weights that are NaN or infinite, which a merge or a training run that overflowed leaves behind.

All values of a small model are checked, and a sample of each tensor of a larger one: the trainer checks all when it
loads the model (`training/load_check.py`), but by then the download and the GPU are paid for.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from backend.errors import UserError
from backend.model import headers

_WHOLE_BYTES: Final = 16 << 20
"""A model up to this size is read whole: a hundredth of a second."""
_MOST_TENSORS: Final = 256
_SAMPLE_BYTES: Final = 1 << 12
"""A larger model is sampled: this many evenly spread tensors, and this many bytes in the middle of each."""
_EXPONENTS: Final = {"BF16": ("<u2", 0x7F80), "F16": ("<u2", 0x7C00), "F32": ("<u4", 0x7F800000)}
"""Type -> its integer type, and the exponent bits, all of which are set in NaN and infinity."""
_Span = tuple[str, str, int, int]
"""Name, type, first byte and number of bytes of a sample."""


def refuse_others(folder: Path, name: str) -> None:
    """Raise UserError (field `model`) if a sampled value is NaN or infinite."""
    files = headers.weight_files(folder)
    is_small = sum(path.stat().st_size for path in files) <= _WHOLE_BYTES
    every = max(1, -(-len(headers.tensors(folder)) // _MOST_TENSORS))
    for path in files:
        found = _first(path, list(_spans(headers.header(path), whole=is_small))[:: 1 if is_small else every])
        if found:
            raise UserError(
                f"{found} of {name} holds values that are no numbers (NaN or infinite); download the model again, or "
                "give the one that it was made from",
                "model",
            )


def first(path: Path) -> str:
    """The first tensor of one file with a sampled value that is NaN or infinite; empty if there is none."""
    return _first(path, list(_spans(headers.header(path), whole=path.stat().st_size <= _WHOLE_BYTES)))


def _spans(entries: headers.Header, *, whole: bool) -> Iterator[_Span]:
    for name, entry in entries.items():
        start, end = entry["data_offsets"]
        if entry["dtype"] in _EXPONENTS:
            length = end - start if whole else min(end - start, _SAMPLE_BYTES)
            skipped = (end - start - length) // 2 // 8 * 8
            yield name, entry["dtype"], start + skipped, length


def _first(path: Path, spans: list[_Span]) -> str:
    """The first tensor of a file with a NaN or infinite value in these spans; empty if there is none."""
    import numpy as np

    with path.open("rb") as file:
        begin = 8 + int.from_bytes(file.read(8), "little")
        for name, kind, start, length in spans:
            file.seek(begin + start)
            read, bits = _EXPONENTS[kind]
            values: Any = np.frombuffer(file.read(length), read)
            if ((values & bits) == bits).any():
                return name
    return ""
