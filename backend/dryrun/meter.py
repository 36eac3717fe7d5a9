"""Counts the bytes of every live tensor by category, and keeps the peak of each stage."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from backend.training.network import Weights

_OF_ADAPTERS = ("lora_", ".modules_to_save.", "trainable_tokens_delta")


class Meter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees each operation's results; a storage counts from when it is first seen until it is freed.

    `peaks` maps a stage to category -> bytes at its peak. Categories: weights, adapters, gradients,
    optimizer, logits (their last dimension is the vocabulary), activations (everything else that comes and goes).
    """

    def __init__(self, network: Weights, vocabulary: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peaks: dict[str, Counter[str]] = {}
        self._vocabulary = vocabulary
        self._now: Counter[str] = Counter()
        self._total = 0
        self._stage = ""
        self._highest = 0
        self._seen: dict[int, tuple[weakref.ref[Any], str, int]] = {}
        trains = {id(p) for p in network.parameters() if p.requires_grad}
        for name, parameter in network.named_parameters():
            self._add(parameter, "adapters" if any(part in name for part in _OF_ADAPTERS) else "weights")
            if id(parameter) in trains:
                parameter.register_post_accumulate_grad_hook(self._label_gradient)  # type: ignore[no-untyped-call]
        for buffer in network.buffers():
            self._add(buffer, "weights")

    def forget(self) -> None:
        """Drop the peaks; live tensors are still counted."""
        self.peaks.clear()

    def stage(self, name: str) -> None:
        """From here on peaks count for `name`; a stage may be entered several times."""
        self._stage = name
        self._highest = sum(self.peaks.get(name, Counter()).values())
        self._check()

    def label(self, tensors: Iterable[Any], category: str) -> None:
        """Count these tensors' storages under `category`."""
        for tensor in tensors:
            if isinstance(tensor, Tensor):
                key = id(tensor.untyped_storage())
                reference, old, size = self._seen.get(key, (None, category, 0))
                if reference is not None and old != category:
                    self._now[old] -= size
                    self._now[category] += size
                    self._seen[key] = (reference, category, size)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation and count its results; a value that is read on the host is 1, or true."""
        if func is torch.ops.aten._local_scalar_dense.default:
            return True if args[0].dtype == torch.bool else 1.0 if args[0].is_floating_point() else 1
        result = func(*args, **(kwargs or {}))
        tree_map_only(Tensor, self._note, result)
        self._check()
        return result

    def _label_gradient(self, parameter: Tensor) -> None:
        self.label([parameter.grad], "gradients")

    def _note(self, tensor: Tensor) -> Tensor:
        is_logits = tensor.ndim > 1 and tensor.shape[-1] == self._vocabulary
        self._add(tensor, "logits" if is_logits else "activations")
        return tensor

    def _add(self, tensor: Tensor, category: str) -> None:
        storage = tensor.untyped_storage()
        key = id(storage)
        if key in self._seen:
            return
        size = storage.nbytes()
        self._seen[key] = (weakref.ref(storage, lambda _: self._drop(key)), category, size)
        self._now[category] += size
        self._total += size

    def _drop(self, key: int) -> None:
        _, category, size = self._seen.pop(key)
        self._now[category] -= size
        self._total -= size

    def _check(self) -> None:
        if self._total > self._highest:
            self._highest = self._total
            self.peaks[self._stage] = Counter(self._now)
