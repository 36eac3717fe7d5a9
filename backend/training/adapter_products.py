"""Fewer and larger matrix products for adapters: layers with the same input compute their first matrices together.

peft computes each adapted layer as a base product, two small ones, a scaling and a sum. Here the first matrices of the
layers that read one input (queries, keys and values; gate and up) are one product, and the second ones add to the
base's result as they are computed. If the frozen base is not quantised, the base products of such layers are one too:
their weights become rows of one matrix. The result is the same to rounding, and so is what is saved.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import Linear, Module
from torch.nn.functional import linear

from backend.training.network import Network

TOGETHER = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))
"""Layers of one parent that read one input. A call with another input is computed by itself."""
NAME = "default"
"""The adapter's name in peft."""


def fuse(network: Network, *, join: bool) -> None:
    """Make the adapters of `network` compute as above. `join`: also concatenate the weights of plain base layers."""
    grouped: set[Module] = set()
    for _, parent in list(network.named_modules()):
        for names in TOGETHER:
            members: list[Any] = [x for x in (getattr(parent, name, None) for name in names) if _is_plain(x)]
            if len(members) > 1:
                _take_over(members, join=join)
                grouped.update(members)
    for _, module in list(network.named_modules()):
        if _is_plain(module) and module not in grouped:
            _take_over([module], join=False)


def _is_plain(module: Any) -> bool:
    """An adapted linear layer without dropout, bias, DoRA or another variant."""
    from peft.tuners.lora import LoraLayer

    if not isinstance(module, LoraLayer) or list(getattr(module, "lora_A", ())) != [NAME]:
        return False
    matrices = (module.lora_A[NAME], module.lora_B[NAME])
    plain = all(isinstance(x, Linear) and x.bias is None for x in matrices)
    variant = NAME in getattr(module, "lora_variant", ()) or getattr(module, "fan_in_fan_out", False)
    return plain and not variant and isinstance(module.lora_dropout[NAME], torch.nn.Identity)


def _take_over(members: Sequence[Any], *, join: bool) -> None:
    group = _Group(members, _joined([x.base_layer for x in members]) if join else None)
    for number, member in enumerate(members):
        member.forward = partial(_forward, group, number)


def _forward(group: _Group, number: int, x: Tensor, *arguments: Any, **options: Any) -> Tensor:
    member = group.members[number]
    if arguments or options or not group.computes(x):
        kind: Any = type(member)
        found: Tensor = kind.forward(member, x, *arguments, **options)
        return found
    return group.result(number, x)


class _Group:
    """Layers that read one input; results wait here until their layer is called with it."""

    def __init__(self, members: Sequence[Any], joined: tuple[Tensor, Tensor | None] | None) -> None:
        self._members = [weakref.ref(x) for x in members]  # weak, since each layer refers to the group
        self._joined = joined
        self._input: Tensor | None = None
        self._results: dict[int, Tensor] = {}

    @property
    def members(self) -> list[Any]:
        """The layers."""
        return [x() for x in self._members]

    def computes(self, x: Tensor) -> bool:
        """Whether this is the usual case: one adapter, switched on, whose type autocast takes care of."""
        members = self.members
        alike = torch.is_autocast_enabled(x.device.type) or x.dtype == members[0].lora_A[NAME].weight.dtype
        return alike and not any(x.disable_adapters or x.merged or x.active_adapters != [NAME] for x in members)

    def result(self, number: int, x: Tensor) -> Tensor:
        """The result of one layer; the first layer that is called with `x` computes those of all."""
        if self._input is not x:
            self._results, self._input = dict(enumerate(self._compute(x))), x
        found = self._results.pop(number, None)
        if found is None:  # called twice with the same input
            found = list(self._compute(x))[number]
        if not self._results:
            self._input = None
        return found

    def _compute(self, x: Tensor) -> Iterator[Tensor]:
        members = self.members
        first = [member.lora_A[NAME].weight for member in members]
        low = linear(x.flatten(0, -2), torch.cat(first) if len(first) > 1 else first[0])
        parts = torch.split(low, [len(a) for a in first], -1)
        for member, base, part in zip(members, self._bases(x), parts, strict=True):
            second = member.lora_B[NAME].weight
            result = torch.addmm(base.flatten(0, -2), part, second.t(), alpha=member.scaling[NAME])
            yield result.to(base.dtype).view(*x.shape[:-1], -1)

    def _bases(self, x: Tensor) -> Iterator[Tensor]:
        """What the frozen layers give, computed together if their weights are one matrix."""
        if self._joined is None:
            yield from (member.base_layer(x) for member in self.members)
            return
        widths = [len(member.base_layer.weight) for member in self.members]
        yield from torch.split(linear(x, *self._joined), widths, -1)


@torch.no_grad()
def _joined(bases: Sequence[Module]) -> tuple[Tensor, Tensor | None] | None:
    """Weight and bias of plain frozen layers as one, into which theirs become views; None if a layer is not plain."""
    if any(type(x) is not Linear or x.weight.requires_grad or x.weight.is_meta for x in bases):
        return None
    weights, biases = [x.weight for x in bases], [x.bias for x in bases]
    if any(x is None for x in biases) and any(x is not None for x in biases):
        return None
    return _one(weights), None if biases[0] is None else _one(biases)


def _one(parts: Sequence[Any]) -> Tensor:
    """The parameters as rows of one tensor, which they share from now on."""
    whole = torch.cat([x.data for x in parts])
    for part, rows in zip(parts, torch.split(whole, [len(x) for x in parts]), strict=True):
        part.data = rows
    return whole
