"""Grouped keys (fewer heads of keys than of queries) for torch's attention kernels that don't take them.

Of torch's own kernels only flash attention and cuDNN's take grouped keys, in 16 bits and since Ampere. For a T4, an RTX
20xx, a V100 or float32 torch would choose plain matrix products, whose scores take memory by the square of the length
(1B, LoRA, 4,096 tokens: 10.9 GiB instead of 3.2). With keys and values repeated it takes memory-efficient attention.
The planner counts the copies (backend/planner/memory/stack.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

try:
    from transformers.integrations import sdpa_attention
except ImportError:  # a later version may have moved it
    sdpa_attention = None

NAME = "use_gqa_in_sdpa"
FLASH_SINCE = (8, 0)
"""The first compute capability that flash attention runs on."""


def install() -> None:
    """Make transformers repeat keys and values whenever torch has no kernel for grouped ones. May be called again."""
    function = getattr(sdpa_attention, NAME, None)
    if function is not None and not hasattr(function, "asks_kernel"):
        setattr(sdpa_attention, NAME, _asking(function))


def _asking(original: Callable[..., bool]) -> Callable[..., bool]:
    """Transformers' own answer, unless it is yes and torch would need the plain kernel."""

    def use_grouped(attention_mask: Tensor | None, key: Tensor, *rest: Any) -> bool:
        return bool(original(attention_mask, key, *rest)) and not (key.is_cuda and wants_repeated(key))

    use_grouped.asks_kernel = True  # type: ignore[attr-defined]
    return use_grouped


def wants_repeated(key: Tensor) -> bool:
    """Whether torch has no fast kernel for grouped keys of this type on this GPU."""
    return key.dtype == torch.float32 or torch.cuda.get_device_capability(key.device) < FLASH_SINCE
