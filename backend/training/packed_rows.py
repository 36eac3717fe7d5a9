"""Tell transformers whether sequences hold several rows: it would ask the device, and wait, in every forward pass."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from transformers import masking_utils

_find = masking_utils.find_packed_sequence_indices


@contextmanager
def told(packed: bool) -> Iterator[None]:
    """Within, a forward pass knows that some sequence is `packed`, or that none is.

    Where the position ids restart is still read from them; the one question that needs an answer on the host is left
    out. (transformers 5.23 asks it unless it is being compiled.)
    """
    setattr(masking_utils, _find.__name__, _marks if packed else _none)
    try:
        yield
    finally:
        setattr(masking_utils, _find.__name__, _find)


def _none(position_ids: Any) -> None:
    return None


def _marks(position_ids: Any) -> Any:
    """The row that each token belongs to, counted within its sequence."""
    breaks = position_ids.diff(prepend=position_ids[:, :1] - 1, dim=-1) != 1
    return breaks.cumsum(-1)
