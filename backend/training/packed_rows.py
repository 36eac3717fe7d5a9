"""The packed hint: tell transformers whether sequences hold several rows.

Without the hint it asks the device in every forward pass, and waits for the answer (transformers 5.23, unless it is
being compiled). The hint replaces a function of transformers that is no public interface. If that function is not there
or does something else, there is no hint: the same training, with a wait for each forward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

try:
    from transformers import masking_utils
except ImportError:  # a later version may have moved it
    masking_utils = None

NAME = "find_packed_sequence_indices"


@contextmanager
def packed_hint(packed: bool) -> Iterator[None]:
    """Within the context, forward passes know whether any sequence is `packed`.

    Where each row begins is still read from the position ids; only the check that the host waits for is skipped.
    """
    if _original is None:
        yield
        return
    setattr(masking_utils, NAME, _row_numbers if packed else _none)
    try:
        yield
    finally:
        setattr(masking_utils, NAME, _original)


def _none(position_ids: Any) -> None:
    return None


def _row_numbers(position_ids: Tensor) -> Tensor:
    """The row that each token belongs to, counted within its sequence."""
    breaks = position_ids.diff(prepend=position_ids[:, :1] - 1, dim=-1) != 1
    return breaks.cumsum(-1)


def replaceable() -> Callable[[Tensor], Tensor | None] | None:
    """Transformers' function if `_row_numbers` and `_none` do the same as it does; None if not."""
    function: Callable[[Tensor], Tensor | None] | None = getattr(masking_utils, NAME, None)
    packed, single = torch.tensor([[0, 1, 2, 0, 1]]), torch.tensor([[0, 1, 2, 3, 4]])
    try:
        assert function is not None
        found = function(packed)
        same = found is not None and torch.equal(found, _row_numbers(packed)) and function(single) is None
    except Exception:  # noqa: BLE001 - a function that has changed raises whatever it likes
        return None
    return function if same else None


_original = replaceable()
